"""`tuition power`: what a comparison of a given size would see, or how large it must be.

The variance components come from a study that was tested on two or more seeds, from a leaderboard or from a recorded
table, or are given. Nothing is trained and nothing is written.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import comb
from pathlib import Path
from typing import Any

from tuition.app.processes.terminal import terminal
from tuition.app.studies.study_leaderboard import ReportError, tested_studies
from tuition.app.studies.study_report import read_report
from tuition.benchmarks.artefacts import FileError, RecordError, correct_PK
from tuition.benchmarks.baselines import DIRECT
from tuition.benchmarks.boards.entries import MeasuredEntry
from tuition.benchmarks.boards.loaded_board import load_board
from tuition.benchmarks.boards.ranked_rows import on_same_seeds
from tuition.benchmarks.measured_boards import find_board
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.statistics.intervals import Array
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.benchmarks.statistics.power import (
    Components,
    Experiment,
    Power,
    PowerError,
    Size,
    detectable,
    estimate_components,
    smallest,
    typical_components,
)
from tuition.benchmarks.statistics.power import power as power_of
from tuition.benchmarks.tables.recorded_table import read_table
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner.allocation import Allocation

# Root mean squares over the allocations' pairs in `micro@1` and `micro-b@1`: 2.8 and 3.5 points (--table).
SEED_SD = 3.0
SEEDS_SHOWN = (1, 2, 3, 5, 10)  # the table beside the answer
FEW_DEGREES, FEW_PROBLEMS = 4, 30
"""Below which a variance between seeds is called hardly known: our choice. A variance of 4 degrees of freedom is
estimated within a factor of 3, 9 times in 10."""


@dataclass(frozen=True)
class PowerRequest:
    """The question: points and percentages as a person types them; None for the one number that is asked for."""

    difference_points: float | None
    problems: int | None
    samples: int | None
    seeds: int | None
    power: float
    level: float
    rows: int | None = None
    """Of the table whose pairs are asked for; None for one comparison that stands alone."""


def assumed_components(seed_sd: float, problem_sd: float, interaction_sd: float, accuracy: float) -> Components:
    """Components from points and from an accuracy in percent, both allocations alike at it on average.

    `sample_sd` = sqrt(2 p (1 - p) - 2 v): the mean of p (1 - p) over problems is smaller than that of the mean p by
    the variance v of p over problems. v is taken as half of p (1 - p), our choice: on real MATH samples it was 72 %
    (docs/statistics.md), so half errs on the side of more noise.
    """
    if not 0 <= accuracy <= 100:
        raise PowerError(f"accuracy is {accuracy}; give a percentage from 0 to 100")
    p = accuracy / 100
    return Components(seed_sd / 100, problem_sd / 100, interaction_sd / 100, (p * (1 - p)) ** 0.5)


def run_power(request: PowerRequest, measured: "Measured") -> dict[str, Any]:
    """Answer the question: the power, or the one number left out, and the same for other numbers of seeds.

    PowerError where the difference that is asked about is larger than scores can have.
    """
    components = measured.components
    if request.difference_points is not None and abs(request.difference_points) > measured.most_points:
        raise PowerError(f"--difference {request.difference_points:g}: {measured.limit}; give a smaller one")
    given = {
        "difference": request.difference_points,
        "problems": request.problems,
        "samples": request.samples,
        "seeds": request.seeds,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) > 1:
        raise PowerError(f"{' and '.join('--' + name for name in missing)} are missing; omit at most one")
    asked = missing[0] if missing else "power"
    answer = _answer(asked, request, components)
    others = []
    if asked in ("power", "difference"):
        for seeds in SEEDS_SHOWN:
            if request.rows is not None and seeds < RANKED_SEEDS:
                continue
            experiment = replace(answer.experiment, seeds=seeds)
            others.append(_plain(power_of(answer.difference, experiment, components, request.level)))
    return {
        "asked": asked,
        "answer": _plain(answer),
        "wanted_power": request.power,
        "level": request.level,
        "components": asdict(components),
        "components_from": measured.source,
        "by_seeds": others,
        "warnings": [*measured.warnings, *_warnings(asked, answer, measured)],
    }


def _warnings(asked: str, answer: Power, measured: "Measured") -> list[str]:
    """What must be read with an answer."""
    found = []
    if 100 * answer.difference > measured.most_points:
        found.append(f"{measured.limit}, so no difference that they can have is seen with this power")
    if asked == "seeds" and answer.experiment.seeds == RANKED_SEEDS:
        found.append(f"{RANKED_SEEDS} seeds are the least that is advised: rows of fewer have no rank")
    if answer.experiment.seeds < RANKED_SEEDS:
        found.append(f"rows of fewer than {RANKED_SEEDS} training seeds have no rank, whatever their power")
    return found


def _answer(asked: str, request: PowerRequest, components: Components) -> Power:
    # A size that is asked for is found from any; the others are as given.
    experiment = Experiment(
        2 if request.problems is None else request.problems,
        1 if request.samples is None else request.samples,
        (2 if request.rows is None else RANKED_SEEDS) if request.seeds is None else request.seeds,
        request.rows,
    )
    if request.difference_points is None:
        return detectable(experiment, components, request.power, request.level)
    difference = request.difference_points / 100
    if asked == "power":
        return power_of(difference, experiment, components, request.level)
    size: Size = "problems" if asked == "problems" else "samples" if asked == "samples" else "seeds"
    return smallest(size, difference, experiment, components, request.power, request.level)


def _plain(answer: Power) -> dict[str, Any]:
    fields = {name: round(value, 6) for name, value in asdict(answer).items() if name != "experiment"}
    return {**asdict(answer.experiment), **fields}


@dataclass(frozen=True)
class Measured:
    """Variances that were measured, and on what: a sentence. `warnings`: what is doubtful about them.

    `most_points`: the largest difference that the scores can have, `limit` says why.
    """

    components: Components
    source: str
    warnings: tuple[str, ...] = ()
    most_points: float = 100.0
    limit: str = "scores differ by at most 100 points"


def find_components(
    sources: Mapping[str, str | None],
    a: str | None,
    b: str | None,
    results: Path,
    assumed: tuple[float, float, float, float],
) -> Measured:
    """The variances of the one source that is given ("from", "board" or "table"), else the assumed ones.

    `assumed` are the standard deviations over seeds, problems and of one problem over seeds, in points, and the
    accuracy in percent. PowerError for several sources, or an entry without a source.
    """
    given = {name: what for name, what in sources.items() if what is not None}
    if len(given) > 1:
        raise PowerError(f"{' and '.join('--' + name for name in given)}: give one source of variances")
    if not given:
        if a is not None or b is not None:
            raise PowerError("--a and --b name entries of --from, --board or --table: give one of these")
        source = "assumed: set --seed-sd and the others, or measure with --from, --board or --table"
        if assumed[0] == SEED_SD:
            source = f"seeds as in micro@1 and micro-b@1, others {source}"
        components, accuracy = assumed_components(*assumed), assumed[3]
        most = 2 * min(accuracy, 100 - accuracy)
        limit = f"two scores that are {accuracy:g} % on average differ by at most {most:g} points (--accuracy)"
        return Measured(components, source, most_points=most, limit=limit)
    ((source, what),) = given.items()
    if a is None and b is not None:
        raise PowerError(f"--b {b}: name the entry that it is compared with by --a")
    b = DIRECT if a is not None and b is None else b
    if source == "board":
        found = components_of_board(what, a, b)
    else:
        found = components_of_table(what, a, b) if source == "table" else components_of_study(results, what, a, b)
    return replace(found, source=f"measured: {found.source}")


def components_of_study(results: Path, study: str, a: str | None, b: str | None) -> Measured:
    """Of entry a - entry b of a tested study, or of its typical pair. ReportError or PowerError say what is missing."""
    if study not in tested_studies(results):
        known = ", ".join(tested_studies(results)) or "none"
        raise ReportError(f"no tested study {study!r} in {results} (tested studies: {known})")
    path = ResultsFolder(results).study(study).report
    try:
        test = read_report(path).test
        if test is None:
            raise FileError("it was not tested")
    except (FileNotFoundError, FileError) as error:
        raise ReportError(
            f"{path} lacks tested runs ({error}): rerun the study's command, which trains nothing"
        ) from None
    scores = {name: {run.seed: run.score for run in several} for name, several in test.runs.items()}
    for name in filter(None, (a, b)):
        if name not in scores:
            raise ReportError(f"study {study!r} has no entry {name!r}; it has {', '.join(map(repr, scores))}")
    named = [*scores] if a is None or b is None else [a, b]
    tables = _score_tables(results, {key for name in named for key in scores[name].values()})
    rows = {name: {seed: tables[key] for seed, key in scores[name].items()} for name in named}
    return measured_components(rows, a, b, f"study {study}")


def components_of_board(board: str, a: str | None, b: str | None) -> Measured:
    """Of two entries of a leaderboard by name, or of its typical pair of entries that share suite and decoding.

    EntryError for no leaderboard, ReportError or PowerError with what is missing.
    """
    listed = [one for one in load_board(find_board(board)).entries if one.outcomes]
    groups: dict[tuple[object, ...], dict[str, dict[int | None, Array]]] = {}
    for one in listed:
        assert isinstance(one.entry, MeasuredEntry)
        alike = (one.entry.suite, one.entry.preset.text(), one.outcomes[0].problem_ids)
        groups.setdefault(alike, {})[one.entry.name] = {run.seed: run.correct_PK for run in one.outcomes}
    wanted = {name for name in (a, b) if name is not None}
    found = [rows for rows in groups.values() if wanted <= rows.keys()]
    if not found:
        known = ", ".join(repr(one.entry.name) for one in listed) or "none"
        raise ReportError(
            f"leaderboard {board!r} has no {' and '.join(map(repr, sorted(wanted)))} in one table; it has {known}"
        )
    return measured_components(max(found, key=len), a, b, f"leaderboard {board}")


def components_of_table(table: str, a: str | None, b: str | None) -> Measured:
    """Of two allocations of a recorded table, by name or as text, or of its typical pair; on the test suite.

    RecordedError for no table or another allocation, PowerError with what is missing.
    """
    recorded = read_table(find_table(table))
    names = recorded.header.names
    chosen = [*recorded.allocations] if a is None or b is None else [Allocation.parse(names.get(x, x)) for x in (a, b)]
    texts = [str(allocation) for allocation in chosen] if a is None or b is None else [a, b]
    rows = {
        text: {seed: recorded.correct_PK(allocation, seed, "test") for seed in recorded.seeds(allocation=allocation)}
        for text, allocation in zip(texts, chosen, strict=True)
    }
    return measured_components(rows, a, b, f"recorded table {table}")


def measured_components(rows: Mapping[str, Mapping[Any, Array]], a: str | None, b: str | None, where: str) -> Measured:
    """From outcomes by name and training seed; a base model, whose seed is None, stands for each seed of the other."""
    if a is not None and b is not None:
        shared = sorted(seed for seed in rows[a].keys() & rows[b].keys() if seed is not None)
        # Without shared seeds in their order: runs of other seeds are independent draws, a base model is any seed's.
        pair = [[runs[seed] for seed in shared] if shared else [*runs.values()] for runs in (rows[a], rows[b])]
        components = estimate_components(*on_same_seeds(*pair))
        doubts = _doubts(components, max(map(len, pair)) - 1, len(pair[0][0]))
        return Measured(components, f"{a} - {b} of {where}", doubts)
    trained = {name: runs for name, runs in rows.items() if len(runs) > 1}
    common = set.intersection(*(set(runs) for runs in trained.values())) if trained else set()
    if len(common) < 2:
        raise PowerError(f"the rows of {where} share fewer than 2 training seeds: name two of them with --a and --b")
    seeds = sorted(seed for seed in common if seed is not None)
    components = typical_components([[runs[seed] for seed in seeds] for runs in trained.values()])
    problems = len(next(iter(trained.values()))[seeds[0]])
    doubts = _doubts(components, len(trained) * (len(seeds) - 1), problems)
    return Measured(components, f"root mean square over pairs of {len(trained)} rows of {where}", doubts)


def _doubts(components: Components, freedom: int, problems: int) -> tuple[str, ...]:
    """Why the standard deviation between seeds is hardly known: too few runs, or too much noise to see it in."""
    reasons = []
    if freedom < FEW_DEGREES:
        reasons.append(f"it has {freedom} degree{'s' if freedom > 1 else ''} of freedom (runs beyond the first)")
    if problems < FEW_PROBLEMS:
        reasons.append(f"on {problems} problems the noise of a run's mean hides it")
    if components.seed_sd == 0:
        reasons.append("the runs' means differ no more than their noise, as they may by chance")
    if not reasons or (components.seed_sd > 0 and freedom >= FEW_DEGREES):
        return ()
    return (
        f"seed {100 * components.seed_sd:.2f} is hardly known: {'; '.join(reasons)}. Plan without a source as well, "
        f"with --seed-sd {SEED_SD:g} as in the recorded tables",
    )


def _score_tables(results: Path, keys: set[str]) -> dict[str, Array]:
    """Outcomes (problems, samples) of stored scores by key."""
    tables: dict[str, Array] = {}
    ids: dict[str, list[str]] = {}
    store = ScoreStore(ResultsFolder(results).scores)
    for key in sorted(keys):
        try:
            ids[key], tables[key] = correct_PK(store.stored(key).samples)
        except RecordError as error:
            raise ReportError(
                f"score {key[:12]} in {store.folder} is damaged ({error}): run `tuition store verify`, then rerun "
                "the test"
            ) from None
    if len({tuple(problems) for problems in ids.values()}) > 1:
        raise ReportError("the entries were scored on different problems: use another --results folder")
    return tables


def show_power(document: dict[str, Any]) -> None:
    """The answer in a sentence, the components, and the table by seeds."""
    from rich import box
    from rich.table import Table

    console = terminal()
    answer, parts = document["answer"], document["components"]
    sizes = f"{answer['problems']:,} problems, {answer['samples']} samples, {answer['seeds']} seeds"
    points, level = 100 * answer["difference"], 100 * document["level"]
    if answer["rows"] is not None:
        sizes += f", in a table of {answer['rows']} rows"
    console.print(
        f"A difference of {points:.2f} points, {sizes}: power {answer['power']:.2f} at {level:g} %."
        + ("" if document["asked"] == "power" else f" Solved for: {document['asked']}.")
    )
    console.print(
        "Standard deviations of the difference, points: "
        + ", ".join(f"{name.removesuffix('_sd')} {100 * value:.2f}" for name, value in parts.items())
        + f" ({document['components_from']})."
    )
    if answer["rows"] is not None:
        console.print(
            f"After Holm's correction over {comb(answer['rows'], 2)} pairs, at its strictest, with seed variances "
            "moderated by the table's rows."
        )
    for warning in document["warnings"]:
        console.print(f"Warning: {warning}.", markup=False)
    if answer["seeds"] == 1:
        console.print("One training run: excludes training variance; see the false alarms.")
    if document["by_seeds"]:
        table = Table(title=f"{points:.2f} points, by training seeds", box=box.SIMPLE_HEAD)
        for column in ("seeds", "power", "false alarms", "s.e., points", "interval, ± points"):
            table.add_column(column, justify="right")
        for row in document["by_seeds"]:
            table.add_row(
                str(row["seeds"]), f"{row['power']:.2f}", f"{row['false_alarm']:.2f}",
                f"{100 * row['standard_error']:.2f}", f"{100 * row['half_width']:.2f}",
            )  # fmt: skip
        console.print(table)
