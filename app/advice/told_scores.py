"""`tuition tell`: the score of a route that was trained elsewhere, entered as a finished trial.

What: a file of outcomes, one for each sample of each validation problem, is checked against the suite; their mean and
errors become a trial that is marked `OUTSIDE`. It leaves no block, no score and no entry in the ledger: the labels that
it was trained on are what its sender declares, and stand apart wherever labels are counted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from optuna.trial import TrialState, create_trial

from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.recommendation import Frozen
from tuition.app.studies.single_run import find_allocation
from tuition.benchmarks.artefacts import file_sha256, finite
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.statistics.intervals import avg_at_k
from tuition.planner.route import compile_route
from tuition.planner.storage import StudyError
from tuition.planner.study_identity import hold_to_space
from tuition.planner.trials import ALLOCATION, GPU_SECONDS, LABELS_OUTSIDE, OUTSIDE, ROUTE_KEY, Trials

MAX_BYTES = 256 << 20
SHOWN = 3
"""Problem ids that an error names."""
FORM = '{"problem_id": "...", "correct": [true, false, ...]}'


class ToldError(ValueError):
    """A file of outcomes that cannot be taken; one line with what was found and what is wanted."""


class Told(Frozen):
    """A score that was entered. Fractions."""

    study: str
    trial: int
    allocation: str
    mean: float
    se_problems: float | None
    se_samples: float | None
    labels_outside: int


def tell(opened: OpenedStudy, text: str, file: Path, labels: int | None) -> Told:
    """Enter the outcomes of a route that was trained elsewhere.

    Args:
        opened: the study.
        text: the allocation, or a route by its name.
        file: JSON lines or Parquet, see `read_outcomes`.
        labels: labels that it was trained on; None for as many as the allocation says.

    Raises:
        ToldError: for a file that is not of the validation suite, or is damaged.
        SpaceError, AllocationError: for an allocation that the study's space does not hold.
        StudyError: where the study has a score of it already, or is training it.
    """
    scenario, study = opened.scenario, opened.study
    allocation = find_allocation(scenario, text)
    params = opened.space.params_of(allocation)
    if labels is None:
        labels = allocation.label_blocks * scenario.recipe.labels_per_block
    ids = [problem.id for problem in scenario.validation]
    score = avg_at_k(checked_outcomes(read_outcomes(file), ids, scenario.preset("validation").num_samples, file))
    key = compile_route(allocation, scenario.recipe, opened.seed).key
    errors = {"se_problems": finite(score.se_problems), "se_samples": finite(score.se_samples)}
    attributes = {
        ALLOCATION: str(allocation),
        "allocation_id": allocation.id,
        ROUTE_KEY: key,
        OUTSIDE: file_sha256(file),
        LABELS_OUTSIDE: labels,
        GPU_SECONDS: 0.0,
        **errors,
    }
    hold_to_space(study, opened.space)
    opened.folder.path.mkdir(parents=True, exist_ok=True)
    with FileLock(opened.folder.opening_lock):
        trials = Trials(study).refresh()
        if (known := trials.evaluated(key)) is not None:
            raise StudyError(f"trial #{known.number} of study {opened.name!r} has a score of '{allocation}' already")
        if key in trials.running_routes():
            raise StudyError(f"study {opened.name!r} is training '{allocation}': its score will come by itself")
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                value=score.mean,
                params=params,
                distributions=opened.space.distributions(),
                user_attrs=attributes,
            )
        )
        number = next(
            t.number for t in reversed(study.get_trials(deepcopy=False)) if t.user_attrs.get(ROUTE_KEY) == key
        )
    return Told(
        study=opened.name, trial=number, allocation=str(allocation), mean=score.mean, labels_outside=labels, **errors
    )


def read_outcomes(file: Path) -> dict[str, list[bool]]:
    """Outcomes by problem id, from a row for each problem or for each of its samples.

    A row has the problem's id as "problem_id" or "id", and "correct": a list of outcomes, or one of them (then it may
    have "sample", its number, by which they are ordered). Outcomes are true and false, or 1 and 0. Files that end in
    .parquet are read as such, all others as JSON lines; further fields are ignored, so a score's sample table will do.

    Raises:
        ToldError: for what is not so, with the line or row.
    """
    if not file.is_file():
        raise ToldError(f"no file {file}: give JSON lines ({FORM}) or a Parquet table")
    if file.stat().st_size > MAX_BYTES:
        raise ToldError(f"{file} has {file.stat().st_size:,} bytes; give a file of outcomes alone, up to {MAX_BYTES:,}")
    found: dict[str, dict[int, bool]] = {}
    for where, row in _rows(file):
        identity, stated = row.get("problem_id", row.get("id")), row.get("correct")
        if not isinstance(identity, str):
            raise ToldError(f"{where}: no problem's id as text; write {FORM}")
        if isinstance(stated, list | np.ndarray):
            if identity in found:
                raise ToldError(f"{where}: problem {identity!r} is there twice; keep one")
            found[identity] = {place: _outcome(one, where) for place, one in enumerate(stated)}
            continue
        own = found.setdefault(identity, {})
        number = len(own) if row.get("sample") is None else _sample(row["sample"], where)
        if number in own:
            raise ToldError(f"{where}: problem {identity!r} has sample {number} twice; keep one")
        own[number] = _outcome(stated, where)
    return {identity: [own[number] for number in sorted(own)] for identity, own in found.items()}


def _rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows, each with where it stands."""
    if file.suffix == ".parquet":
        import pandas as pd

        try:
            table = pd.read_parquet(file)
        except (OSError, ValueError) as error:  # pyarrow's errors are either
            raise ToldError(f"{file} is not a Parquet table ({one_line(error, 120)})") from None
        for number, row in enumerate(table.to_dict("records"), 1):
            yield f"{file}, row {number}", {str(name): value for name, value in row.items()}
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{file}:{number}"
            if not line.strip():
                continue
            try:
                stated = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ToldError(f"{where}: not JSON ({one_line(error, 80)}); write one object a line: {FORM}") from None
            if not isinstance(stated, dict):
                raise ToldError(f"{where}: not an object; write {FORM}")
            yield where, stated


def _outcome(stated: object, where: str) -> bool:
    if isinstance(stated, bool | np.bool_) or (isinstance(stated, int | np.integer) and stated in (0, 1)):
        return bool(stated)
    raise ToldError(f'{where}: "correct" is {one_line(repr(stated), 40)}; give true or false, or a list of them')


def _sample(stated: object, where: str) -> int:
    if isinstance(stated, bool) or not isinstance(stated, int | np.integer) or stated < 0:
        raise ToldError(f'{where}: "sample" is {one_line(repr(stated), 40)}; give its number, 0 or more')
    return int(stated)


def checked_outcomes(
    found: Mapping[str, Sequence[bool]], ids: Sequence[str], num_samples: int, file: Path
) -> NDArray[np.int8]:
    """[problems, samples] outcomes of exactly the suite's problems. ToldError for any other."""
    if strangers := sorted(found.keys() - set(ids)):
        raise ToldError(f"{file}: {_named(strangers)} not in the validation suite; score its {len(ids)} problems")
    if missing := sorted(set(ids) - found.keys()):
        raise ToldError(f"{file}: {_named(missing)} missing; score all {len(ids)} problems of the validation suite")
    for identity, outcomes in found.items():
        if len(outcomes) != num_samples:
            raise ToldError(
                f"{file}: problem {identity!r} has {len(outcomes)} samples, and the study scores {num_samples} of each"
            )
    return np.array([found[identity] for identity in ids], np.int8)


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(identity) for identity in ids[:SHOWN])
    if len(ids) == 1:
        return f"problem {shown} is"
    return f"{len(ids)} problems ({shown}{', ...' if len(ids) > SHOWN else ''}) are"
