"""`tuition power`: what a comparison of a given size would see, or how large it must be.

The variance components come from a study that was tested on two or more seeds, from its stored sample tables, or are
given. Nothing is trained and nothing is written.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuition.app.processes.terminal import terminal
from tuition.app.studies.study_leaderboard import ReportError, tested_studies
from tuition.app.studies.study_report import read_report
from tuition.benchmarks.artefacts import FileError, RecordError, correct_PK
from tuition.benchmarks.boards.ranked_rows import on_same_seeds
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import ScoreStore
from tuition.benchmarks.statistics.intervals import Array
from tuition.benchmarks.statistics.power import (
    Components,
    Experiment,
    Power,
    PowerError,
    Size,
    detectable,
    estimate_components,
    smallest,
)
from tuition.benchmarks.statistics.power import power as power_of

SEEDS_SHOWN = (1, 2, 3, 5, 10)  # the table beside the answer


@dataclass(frozen=True)
class PowerRequest:
    """The question: points and percentages as a person types them; None for the one number that is asked for."""

    difference_points: float | None
    problems: int | None
    samples: int | None
    seeds: int | None
    power: float
    level: float


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


def run_power(request: PowerRequest, components: Components, source: str) -> dict[str, Any]:
    """Answer the question: the power, or the one number left out, and the same for other numbers of seeds."""
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
            experiment = Experiment(answer.experiment.problems, answer.experiment.samples, seeds)
            others.append(_plain(power_of(answer.difference, experiment, components, request.level)))
    return {
        "asked": asked,
        "answer": _plain(answer),
        "wanted_power": request.power,
        "level": request.level,
        "components": asdict(components),
        "components_from": source,
        "by_seeds": others,
    }


def _answer(asked: str, request: PowerRequest, components: Components) -> Power:
    # A size that is asked for is found from any; the others are as given.
    experiment = Experiment(
        2 if request.problems is None else request.problems,
        1 if request.samples is None else request.samples,
        2 if request.seeds is None else request.seeds,
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


def measured_components(results: Path, study: str, a: str, b: str) -> Components:
    """The components of entry a - entry b of a tested study. ReportError or PowerError with what is missing."""
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
    scores = {name: [run.score for run in several] for name, several in test.runs.items()}
    for name in (a, b):
        if name not in scores:
            raise ReportError(f"study {study!r} has no entry {name!r}; it has {', '.join(map(repr, scores))}")
    tables = _score_tables(results, {*scores[a], *scores[b]})
    both = on_same_seeds([tables[key] for key in scores[a]], [tables[key] for key in scores[b]])
    return estimate_components(*both)


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
    console.print(
        f"A difference of {points:.2f} points, {sizes}: power {answer['power']:.2f} at {level:g} %."
        + ("" if document["asked"] == "power" else f" Solved for: {document['asked']}.")
    )
    console.print(
        "Standard deviations of the difference, points: "
        + ", ".join(f"{name.removesuffix('_sd')} {100 * value:.2f}" for name, value in parts.items())
        + f" ({document['components_from']})."
    )
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
