"""The Python API's functions that read results: `read_study`, `read_table`, `read_leaderboard`, `optuna_study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuition.app.api.arguments import RESULTS
from tuition.benchmarks.results_folder import ResultsFolder

# Types alone: torch, pandas and Optuna wait until a function needs them.
if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from tuition.app.dashboard.data.study_frames import StudyFrames


def read_study(study: str, *, results: str | Path = RESULTS) -> StudyFrames:
    """A study of the results folder as pandas frames, whether it still runs or not. It is only read.

    Scores and differences are fractions (0.02 is 2 points), standard errors are named by what they are over, costs are
    GPU-seconds (processor time on a CPU), nan is what is not known.

    `trials`: one row a trial.
        number, state ("complete", "running", "waiting", "fail", "pruned"), started, finished: times.
        score, se_problems, se_samples: on validation.
        labels_trained: distinct labels of the route.
        gpu_seconds_full: of the route from scratch; gpu_seconds_marginal: what the trial spent.
        blocks_requested, blocks_executed: of its route, and those that it trained.
        repeat_of: number of the trial whose outcome it took. on_the_way_of: number of the trial whose route passed it;
            such a trial is a score of its own, but no proposal. labels_outside: what a score told from outside was
            trained on, as declared; nan for others.
        allocation, weights_sha256, error, refused (why it was not begun), worker, route_key, told_from_outside (the
            SHA-256 of its file): texts.
        teacher, teacher_rl, teacher_sft, warmup, opd, transfer_sft, student_rl, replay: the allocation's blocks.
        label_blocks_teacher, label_blocks_student: blocks of labels that each buys.
    `complete`: those of the trials that have a score of their own, best first.
    `tested`: one row an entry of the test, best first; empty before it.
        name, allocation, kind ("finalist", "baseline"; "untrained", the student before any training; "teacher", the
            teacher before any training, a reference without a rank), rank_first, rank_last: the interval of ranks, nan
            below three training seeds.
        mean, se_problems, se_samples, se_seeds: on the test suite.
        difference, difference_low, difference_high: to direct GRPO, paired; nan for direct GRPO itself.
        selected_validation: the validation score by which a finalist was selected.
        labels_trained, gpu_seconds: of one run, from scratch. training_seeds: a tuple. shuffled: without blocks.
    `pairs`: one row for every two students of the test, a - b.
        a, b: names. difference, difference_low, difference_high: paired, not corrected for multiple comparisons;
            few_problems: whether a bound is wider than the variance says (docs/statistics.md).
        p_value, p_value_holm (corrected over all pairs of ranked rows, else nan), p_value_sign_flip; num_problems,
            num_seeds.

    >>> import tuition
    >>> report = tuition.search("micro", trials=4)
    >>> study = tuition.read_study(report.study)
    >>> len(study.trials) >= 4, list(study.trials["state"].unique())
    (True, ['complete'])
    >>> bool(study.tested.set_index("name").loc["direct", "labels_trained"] > 0)
    True
    >>> students = study.tested[study.tested["kind"] != "teacher"]
    >>> len(study.pairs) == len(students) * (len(students) - 1) // 2
    True

    Raises:
        StudyNameError: for what could not be a study's name.
        ReportError: where there is no such study, or a file of it cannot be read.
    """
    from tuition.app.dashboard.data.study_frames import read_study, study_names
    from tuition.app.studies.study_leaderboard import ReportError

    folder = ResultsFolder(Path(results)).named_study(study)
    if not (folder.database.exists() or folder.report.exists()):
        known = ", ".join(study_names(Path(results))) or "none"
        raise ReportError(f"no study {study!r} in {results} (studies: {known})")
    frames = read_study(Path(results), study)
    if frames.unreadable:
        raise ReportError(f"{frames.unreadable[0].path} of {results} {frames.unreadable[0].reason}")
    return frames


def optuna_study(study: str, *, results: str | Path = RESULTS, storage: str | None = None) -> optuna.Study:
    """A search as an Optuna study, for Optuna's own plots: without repeats and parameters that count for nothing.

    It is a copy, in memory or in a new database, such as "sqlite:///copy.db" for optuna-dashboard. Only searches that
    keep their study in the results folder can be read.

    >>> import tuition
    >>> report = tuition.search("micro", trials=4)
    >>> copied = tuition.optuna_study(report.study)
    >>> copied.metric_names, copied.best_value == max(trial.score.mean for trial in report.trials if trial.score)
    (['validation avg@k'], True)

    Raises:
        StudyNameError: for what could not be a study's name.
        ReportError: where there is no such search.
    """
    import optuna

    from tuition.app.studies.study_leaderboard import ReportError
    from tuition.planner.scores.readable import readable_copy
    from tuition.planner.storage import open_storage

    folder = ResultsFolder(Path(results)).named_study(study)
    if not folder.database.exists():
        raise ReportError(f"no search {study!r} in {results}: `tuition dashboard` lists what there is")
    kept = optuna.load_study(study_name=study, storage=open_storage(f"sqlite:///{folder.database}"))
    return readable_copy(kept, storage)


def read_table(table: str | Path) -> pd.DataFrame:
    """A recorded table as a frame, one row for each allocation and seed: a file, or a shipped table by its name.

    Scores are fractions, costs GPU-seconds (processor time on a CPU).
        allocation, name: as text, and the baseline that it is, if one. teacher: its name, or None.
        seed, role: of training; "draw" for planners to search on, "judge" to judge them by.
        validation, test: mean scores.
        labels_trained: distinct labels of the route.
        gpu_seconds_full: of training from scratch; validation_gpu_seconds, test_gpu_seconds: of sampling the scores.
        weights_sha256: of the final checkpoint.

    >>> import tuition
    >>> table = tuition.read_table("micro@1")
    >>> best = table.groupby("allocation")["validation"].mean().idxmax()
    >>> tuition.Allocation.parse(best).label_blocks > 0
    True

    Raises:
        RecordedError: for a table that is not there, damaged or contradicts itself.
    """
    from tuition.app.recordings.table_summary import table_frame
    from tuition.benchmarks.tables.recorded_table import read_table
    from tuition.benchmarks.tables.shipped import find_table

    return table_frame(read_table(find_table(str(table))))


def read_leaderboard(leaderboard: str | Path, *, mix_presets: bool = False) -> pd.DataFrame:
    """A leaderboard folder, or one that ships by its name, as a frame: one row an entry, measured ones first.

    The columns of `tuition leaderboard export --format csv`; scores and differences are fractions.
        kind ("measured", "reported"), id, name, suite, preset, preset_fields, model, allocation, shuffled, scenario.
        rank_first, rank_last: the interval of ranks among the measured entries of one suite and preset; nan
            below three training seeds.
        mean, se_problems, se_samples, se_seeds: the score. reported_error, reported_error_meaning: a source's own.
        difference, difference_low, difference_high, difference_to: paired, to the entry named last.
        num_problems, num_samples, training_seeds (a tuple), labels_trained, labels_validation, labels_owned: counts.
        gpu_seconds: of one run from scratch, on the accelerator named. price_unchecked: why nothing could be held
            against them.
        command, code_version, citation, url, table, notes: where it comes from, and what must be read with it.

    >>> import tuition
    >>> board = tuition.read_leaderboard("micro@1")
    >>> "direct" in set(board["name"]), set(board["kind"])
    (True, {'measured'})

    Raises:
        EntryError: for what is neither a leaderboard folder nor a shipped one, or is damaged.
    """
    import pandas as pd

    from tuition.benchmarks.boards.exports.plain import COLUMNS, rows
    from tuition.benchmarks.boards.loaded_board import load_board
    from tuition.benchmarks.boards.standings import standings
    from tuition.benchmarks.measured_boards import find_board

    board = load_board(find_board(str(leaderboard)))
    return pd.DataFrame(rows(standings(board, mix_presets)), columns=list(COLUMNS))
