"""A study as frames: its trials (from the Optuna database, read only, or from its report), its tested rows.

Everything is what the pipeline wrote. Trials with the state "complete" have a validation score; the tested rows are the
leaderboard's. Fractions are 0..1, costs are GPU-seconds (processor time on a CPU).
"""

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tuition.app.dashboard.data.files import Unreadable, database, folders, stamp
from tuition.app.studies.study_report import (
    EvaluatedRun,
    Pair,
    SearchReport,
    StudyReport,
    TrialReport,
    ranked_rows,
    read_report,
)
from tuition.benchmarks.artefacts import FileError, read_json
from tuition.benchmarks.boards.ranked_rows import Meta, RankedRow
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.benchmarks.statistics.intervals import Difference
from tuition.planner.allocation import Allocation, AllocationError
from tuition.planner.stages import LABEL_STAGES, STAGE
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.sources import ScenarioError

NUMBERS = (
    "score", "se_problems", "se_samples", "labels_trained", "gpu_seconds_full", "gpu_seconds_marginal",
    "blocks_requested", "blocks_executed", "repeat_of", "on_the_way_of", "labels_outside",
)  # fmt: skip
TEXTS = ("allocation", "weights_sha256", "error", "refused", "worker", "route_key", "told_from_outside")
COUNTS = (*STAGE, "replay")
COLUMNS = (
    "number", "state", "started", "finished", *NUMBERS, *TEXTS, "teacher", *COUNTS, "label_blocks_teacher",
    "label_blocks_student",
)  # fmt: skip
TESTED_COLUMNS = (
    "name", "allocation", "kind", "rank_first", "rank_last", "mean", "se_problems", "se_samples", "se_seeds",
    "difference", "difference_low", "difference_high", "selected_validation", "labels_trained", "gpu_seconds",
    "training_seeds", "shuffled",
)  # fmt: skip
PAIR_COLUMNS = (
    "a", "b", "difference", "difference_low", "difference_high", "p_value", "p_value_holm", "p_value_sign_flip",
    "num_problems", "num_seeds", "few_problems",
)  # fmt: skip
PRUNED = "pruned"
MAX_SCENARIO_BYTES = 1 << 20
STATES = ("complete", "running", "waiting", "fail", PRUNED)


@dataclass(frozen=True)
class StudyFrames:
    """One study of a results folder.

    `trials` has COLUMNS, one row a trial. `report` is None where there is none that can be read. `rows` are the tested
    leaderboard's ([] before the test), `runs` their training runs by row name. `scenario` is the file that the study
    keeps, None for one of an earlier version; its `labels_per_block` are then known from the first complete trial on.
    """

    name: str
    folder: StudyFolder
    trials: pd.DataFrame
    report: StudyReport | None
    attributes: Mapping[str, Any]
    rows: tuple[RankedRow, ...] = ()
    meta: Meta | None = None
    pairwise: Mapping[tuple[str, str], Difference] = field(default_factory=dict)
    runs: Mapping[str, tuple[EvaluatedRun, ...]] = field(default_factory=dict)
    scenario: ScenarioFile | None = None
    labels_per_block: int | None = None
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def budget(self) -> int | None:
        """Labels that a route may train on; None while unknown."""
        if isinstance(self.report, SearchReport):
            return self.report.labels.labels_budget
        blocks = _mapping(self.attributes.get("space")).get("num_label_blocks")
        return blocks * self.labels_per_block if isinstance(blocks, int) and self.labels_per_block else None

    @property
    def seed(self) -> int | None:
        """The study's training seed."""
        seed = self.attributes.get("seed")
        if isinstance(seed, int):
            return seed
        return self.report.seed if isinstance(self.report, SearchReport) else None

    @property
    def proposed(self) -> pd.DataFrame:
        """The trials that count: without allocations scored on the way to another, scores told from outside, and what
        did not fit the budget."""
        uncounted = self.trials[["on_the_way_of", "refused", "told_from_outside"]].notna().any(axis=1)
        return self.trials[~uncounted]

    @property
    def complete(self) -> pd.DataFrame:
        """Trials with a score that are no repetition, best first."""
        done = self.trials[(self.trials["state"] == "complete") & self.trials["repeat_of"].isna()]
        return done.sort_values(["score", "number"], ascending=[False, True])

    @property
    def tested(self) -> pd.DataFrame:
        """The tested rows, best first: TESTED_COLUMNS."""
        return pd.DataFrame([_tested_row(ranked) for ranked in self.rows], columns=list(TESTED_COLUMNS))

    @property
    def pairs(self) -> pd.DataFrame:
        """The paired difference of every two tested rows: PAIR_COLUMNS."""
        test = None if self.report is None else self.report.test
        rows = [] if test is None else [_pair_row(pair) for pair in test.pairwise]
        return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))

    def difference(self, a: str, b: str) -> Difference | None:
        """The paired difference of two tested rows, a - b."""
        if (a, b) in self.pairwise:
            return self.pairwise[a, b]
        return self.pairwise[b, a].reversed() if (b, a) in self.pairwise else None


def study_names(results: Path) -> list[str]:
    """Names of the studies of a results folder, the last written first; tunings, which have no routes, last."""
    found = [
        (
            study.all_tries.exists(),
            -max((p.stat().st_mtime for p in (study.database, study.report, study.all_tries) if p.exists()), default=0),
            study.name,
        )
        for study in map(StudyFolder, folders(ResultsFolder(results).studies))
    ]
    return [name for _, when, name in sorted(found) if when]


def read_study(results: Path, name: str) -> StudyFrames:
    """A study with all that can be read of it; what cannot is named in `unreadable`."""
    folder, unreadable = ResultsFolder(results).study(name), list[Unreadable]()
    report = _report(folder, unreadable)
    trials, attributes = _trials(folder, name, report, unreadable)
    scenario = _scenario(folder, unreadable)
    per_block = _labels_per_block(trials) if scenario is None else scenario.labels_per_block
    board: dict[str, Any] = {}
    try:
        board = _board(folder, report)
    except FileError as error:
        unreadable.append(Unreadable(f"studies/{name}/{folder.leaderboard.name}", f"is damaged ({error})"))
    return StudyFrames(
        name, folder, trials, report, attributes, **board, scenario=scenario, labels_per_block=per_block,
        unreadable=tuple(unreadable),
    )  # fmt: skip


def _report(folder: StudyFolder, unreadable: list[Unreadable]) -> StudyReport | None:
    try:
        return read_report(folder.report)
    except FileNotFoundError:
        return None
    except FileError as error:
        unreadable.append(Unreadable(f"studies/{folder.name}/{folder.report.name}", str(error)))
        return None


def _scenario(folder: StudyFolder, unreadable: list[Unreadable]) -> ScenarioFile | None:
    path = folder.scenario
    if stamp(path) == (0, 0) and not path.is_symlink():
        return None
    try:
        if path.is_symlink() or stamp(path)[1] > MAX_SCENARIO_BYTES:
            raise ScenarioError("is a link, or too large")
        return ScenarioFile.read(str(path))[0]
    except ScenarioError as error:
        unreadable.append(
            Unreadable(f"studies/{folder.name}/{path.name}", one_line(str(error).replace(str(path), path.name)))
        )
        return None


def _board(folder: StudyFolder, report: StudyReport | None) -> dict[str, Any]:
    """Tested rows, their pairwise differences and runs; {} before the test."""
    tested = None if report is None else report.ranked()
    if tested is None:
        try:
            tested = ranked_rows(read_json(folder.leaderboard))
        except FileNotFoundError:
            return {}
    rows, meta = tested
    test = None if report is None else report.test
    pairwise = {} if test is None else {(pair.a, pair.b): pair.difference for pair in test.pairwise}
    return {"rows": tuple(rows), "meta": meta, "pairwise": pairwise, "runs": {} if test is None else test.runs}


def _trials(
    folder: StudyFolder, name: str, report: StudyReport | None, unreadable: list[Unreadable]
) -> tuple[pd.DataFrame, Mapping[str, Any]]:
    path = folder.database
    rows: list[dict[str, Any]] = []
    attributes: Mapping[str, Any] = {}
    if path.is_file() and not path.is_symlink():
        try:
            rows, attributes = _from_database(path, name)
        except (FileError, sqlite3.DatabaseError, ValueError) as error:
            unreadable.append(Unreadable(f"studies/{name}/{path.name}", one_line(error)))
    if not rows and isinstance(report, SearchReport):
        rows = [_trial_row(trial) for trial in report.trials]
    return _frame(rows), attributes


def _from_database(path: Path, name: str) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    with database(path) as db:
        found = db.execute("SELECT study_id FROM studies WHERE study_name = ?", (name,)).fetchone()
        if found is None:
            return [], {}
        attributes = dict(db.execute("SELECT key, value_json FROM study_user_attributes WHERE study_id = ?", found))
        trials = db.execute(
            "SELECT t.trial_id, t.number, lower(t.state), t.datetime_start, t.datetime_complete, v.value FROM trials t "
            "LEFT JOIN trial_values v ON v.trial_id = t.trial_id WHERE t.study_id = ? ORDER BY t.number",
            found,
        ).fetchall()
        wanted = tuple(column for column in (*NUMBERS, *TEXTS) if column != "score")
        marks = ",".join("?" * len(wanted))
        texts = db.execute(
            f"SELECT a.trial_id, a.key, a.value_json FROM trial_user_attributes a JOIN trials t USING (trial_id) "
            f"WHERE t.study_id = ? AND a.key IN ({marks})",
            (*found, *wanted),
        ).fetchall()
    rows: dict[int, dict[str, Any]] = {
        trial: {"number": number, "state": state, "started": started, "finished": finished, "score": value}
        for trial, number, state, started, finished, value in trials
    }
    # All at once: a call for each of 110,000 values takes three times as long.
    values = json.loads(f"[{','.join(text for _, _, text in texts)}]")
    for (trial, key, _), attribute in zip(texts, values, strict=True):
        if trial in rows:
            rows[trial][key] = attribute
    return list(rows.values()), {key: json.loads(text) for key, text in attributes.items()}


def _trial_row(trial: TrialReport) -> dict[str, Any]:
    score = {} if trial.score is None else trial.score.model_dump()
    return {**trial.model_dump(exclude_unset=True), **score, "score": score.get("mean")}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    for column in ("number", *NUMBERS):
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    frame["number"] = frame["number"].fillna(-1).astype(int)
    for column in ("started", "finished"):
        frame[column] = pd.to_datetime(frame[column], errors="coerce")
    for column in ("state", *TEXTS):
        # From a list: `map` turns a column of nothing but None, as a search has at its begin, into numbers.
        texts = [cell if isinstance(cell, str) else None for cell in frame[column]]
        frame[column] = pd.Series(texts, frame.index, dtype=object)
    frame.loc[~frame["state"].isin(STATES), "state"] = "fail"
    allocations = [_fields(text) for text in frame["allocation"]]
    frame["teacher"] = pd.Series([fields.get("teacher") for fields in allocations], frame.index, dtype=object)
    for column in COUNTS:
        counts = [None if not fields else fields.get(column, "0") for fields in allocations]
        frame[column] = pd.to_numeric(pd.Series(counts, frame.index, dtype=object), errors="coerce").astype(float)
    for model in ("teacher", "student"):
        bought = [stage.name for stage in LABEL_STAGES if stage.model == model]
        frame[f"label_blocks_{model}"] = frame[bought].sum(axis=1, skipna=False)
    # A repetition took another trial's outcome and spent nothing.
    repeats = frame["repeat_of"].notna()
    frame.loc[repeats, ["gpu_seconds_marginal", "blocks_executed"]] = 0.0
    return frame


def _tested_row(ranked: RankedRow) -> dict[str, Any]:
    row = ranked.row
    shown = {
        "rank_first": ranked.rank_first, "rank_last": ranked.rank_last, "mean": row.score.mean,
        "se_problems": row.score.se_problems, "se_samples": row.score.se_samples, "se_seeds": row.score.se_seeds,
        "training_seeds": row.seeds,
    }  # fmt: skip
    return {**vars(row), **shown, **_bounds(row.difference)}


def _pair_row(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a, "b": pair.b, **_bounds(pair.difference), "p_value": pair.difference.p_value,
        "p_value_holm": math.nan if pair.p_value_holm is None else pair.p_value_holm,
        "p_value_sign_flip": pair.sign_flip.p_value,
        "num_problems": pair.difference.num_problems, "num_seeds": pair.difference.num_seeds,
        "few_problems": pair.difference.few_problems,
    }  # fmt: skip


def _bounds(difference: Difference | None) -> dict[str, float]:
    """The reference row has no difference."""
    if difference is None:
        return dict.fromkeys(("difference", "difference_low", "difference_high"), math.nan)
    return {"difference": difference.mean, "difference_low": difference.low, "difference_high": difference.high}


def _fields(text: str | None) -> dict[str, str]:
    """An allocation's words by name, not validated: 10,000 of them take a moment only."""
    return dict(pair for word in (text or "").split() if len(pair := word.split("=")) == 2)


def parse(text: str) -> Allocation | None:
    """An allocation, or None for a text that is none."""
    try:
        return Allocation.parse(text)
    except AllocationError:
        return None


def _labels_per_block(trials: pd.DataFrame) -> int | None:
    blocks = trials["label_blocks_teacher"] + trials["label_blocks_student"]
    ratio = (trials["labels_trained"] / blocks.where(blocks > 0)).max()
    return None if pd.isna(ratio) else round(ratio)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
