"""`--warm-start`: the scores of another search, or of a recorded table, as what a search believes at its start.

Only validation scores are taken: of a study those of its trials, of a table those of its draw seeds. They are copied
into the study, which needs its source no more; a study that is resumed keeps those that it began with.
"""

from collections.abc import Collection
from pathlib import Path

import optuna
from optuna.trial import TrialState

from tuition.app.studies.search_sampler import needs_prices
from tuition.app.studies.study_report import WarmStartReport
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import STUDY_NAME, ResultsFolder, StudyFolder
from tuition.benchmarks.tables.recorded_table import RecordedError, read_table
from tuition.benchmarks.tables.shipped import find_table, shipped_tables
from tuition.benchmarks.tables.warm_scores import table_warm_start
from tuition.planner.planning.planner import POINTS, UNKNOWN_NOISE
from tuition.planner.planning.sampler import STRUCTURAL, base_scores, warm_start_of
from tuition.planner.planning.warm_start import WARM_START, WarmStart
from tuition.planner.scores.observations import Observation, observations
from tuition.planner.space import SearchSpace
from tuition.planner.storage import StudyError, open_storage
from tuition.planner.study_identity import SEED, SPACE

OMIT = "a study that is resumed keeps the scores it began with: omit --warm-start"


def find_warm_start(name: str, results: ResultsFolder, sampler: str | None, storage: str | None = None) -> WarmStart:
    """The scores that `--warm-start` names.

    Args:
        name: a search of the results folder, the folder of one elsewhere (RESULTS/studies/NAME), a table's file, or the
            name of a table that ships.
        results: the results folder of the search that begins with them.
        sampler: that was asked for, if any.
        storage: URL of a database that searches of the results folder may be in.

    Raises:
        StudyError: for a sampler that has no prior, and for what is no such source or has no scores.
    """
    if sampler is not None:
        _refuse_sampler(sampler)
    own = results.study(name) if STUDY_NAME.fullmatch(name) else None
    for folder in (StudyFolder(Path(name).resolve()), own):
        if folder is not None and folder.database.exists():
            return _of_study(folder.name, f"sqlite:///{folder.database}")
    if storage is not None and own is not None and own.path.exists():
        return _of_study(name, storage)
    try:
        path = find_table(name)
        return table_warm_start(read_table(path), path.stem)
    except RecordedError as error:
        if Path(name).is_file():
            raise StudyError(f"--warm-start {name}: {error}") from None
    known = ", ".join(one.name for one in results.study_folders() if one.database.exists()) or "none"
    raise StudyError(
        f"--warm-start {one_line(name, 80)!r}: neither a search in {results.path} (searches: {known}), nor the folder "
        f"of one (RESULTS/studies/NAME), nor a recorded table (shipped: {', '.join(shipped_tables())}); {OMIT}"
    )


def _of_study(name: str, url: str) -> WarmStart:
    try:
        study = optuna.load_study(study_name=name, storage=open_storage(url))
    except KeyError:
        raise StudyError(f"--warm-start: the database has no search {name!r}; name another one") from None
    observed, space = observations(study), study.user_attrs.get(SPACE)
    if not observed or space is None:
        raise StudyError(f"--warm-start: search {name!r} has no score yet; run it first, or name another one")
    return WarmStart(
        source=f"search {name}",
        space=SearchSpace(**space),
        untrained=tuple((model, *score) for model, score in base_scores(study).items()),
        scores=tuple((str(one.checkpoint), one.value, _error(one)) for one in observed),
        seeds=(int(study.user_attrs[SEED]),),
    )


def _error(seen: Observation) -> float:
    known = (error for error in (seen.se_samples, seen.se_problems) if error is not None)
    return next(known, UNKNOWN_NOISE / POINTS)


def refuse_warm_seeds(warm: WarmStart | None, tested: Collection[int]) -> None:
    """StudyError for a test on a training seed of the scores that a search begins with: it chose by that seed."""
    both = sorted(set(tested) & set(warm.seeds)) if warm is not None else []
    if warm is not None and both:
        raise StudyError(
            f"--warm-start: {warm.source} was trained with seed {', '.join(map(str, both))}, on which this search "
            "would test: choose another --seed, or omit --warm-start"
        )


def settle_warm_start(
    study: optuna.Study, sampler: str, asked: WarmStart | None, tested: Collection[int]
) -> WarmStart | None:
    """The scores that a study begins with, or began with; those that are asked for are kept with a new one.

    Args:
        study: new or known.
        sampler: its own.
        asked: what `find_warm_start` found; None where nothing was asked for.
        tested: training seeds of the test that follows.

    Raises:
        StudyError: for a sampler that has no prior, a study that began with other scores, or without, and as
            `refuse_warm_seeds`.
    """
    kept = warm_start_of(study)
    refuse_warm_seeds(asked or kept, tested)
    if asked is None:
        return kept
    _refuse_sampler(sampler)
    name = study.study_name
    if kept is not None and kept.sha256 != asked.sha256:
        raise StudyError(
            f"--warm-start: study {name!r} began with other scores ({kept.words}) than these ({asked.words}); {OMIT}, "
            "or choose another --study name"
        )
    if kept is None:
        if study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING)):
            raise StudyError(f"--warm-start: study {name!r} began without one; omit it, or choose another --study name")
        study.set_user_attr(WARM_START, asked.model_dump(mode="json"))
    return kept or asked


def warm_start_report(warm: WarmStart | None) -> dict[str, WarmStartReport]:
    """The fields of a study's report; none without a warm start."""
    return {} if warm is None else {"warm_start": WarmStartReport(words=warm.words, sha256=warm.sha256)}


def _refuse_sampler(sampler: str) -> None:
    if not needs_prices(sampler):
        raise StudyError(
            f"--warm-start: --sampler {sampler} believes nothing beforehand; use --sampler {STRUCTURAL}, or omit one"
        )
