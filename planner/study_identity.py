"""What a study belongs to: a scenario, a seed and a search space. A command of another one is refused, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

from tuition.planner.drift import describe_drift
from tuition.planner.space import SearchSpace
from tuition.planner.storage import StudyError

SHA256, SEED, FIELDS, SPACE = "scenario_sha256", "seed", "scenario", "space"  # attributes of the Optuna study
FIX = "choose another --study name"


def hold_to_scenario(study: optuna.Study, sha256: str, seed: int, fields: Mapping[str, Any] | None) -> None:
    """Write down the scenario and the seed of a new study; StudyError where those of a known one differ.

    Args:
        study: new or known.
        sha256: content hash of the scenario.
        seed: of the draws.
        fields: what the hash covers, by name; None where nobody can say. A study that keeps none yet keeps these.
    """
    recorded = dict(study.user_attrs)
    if not study.get_trials(deepcopy=False):
        wanted = {SHA256: sha256, SEED: seed}
        for name in wanted.keys() - recorded.keys():
            study.set_user_attr(name, wanted[name])
        recorded = {**wanted, **recorded}
    differing = describe_drift({SEED: seed}, {SEED: recorded.get(SEED)})
    if recorded.get(SHA256) != sha256:
        differing += _scenario_drift(sha256, fields, recorded)
    if differing:
        raise StudyError(f"study {study.study_name!r} was started with other settings: {'; '.join(differing)}; {FIX}")
    if fields is not None and FIELDS not in recorded:
        study.set_user_attr(FIELDS, dict(fields))


def _scenario_drift(sha256: str, fields: Mapping[str, Any] | None, recorded: Mapping[str, Any]) -> list[str]:
    """In which fields another scenario differs from the study's; its hash where these are unknown."""
    hashes = describe_drift({SHA256: sha256}, {SHA256: recorded.get(SHA256)})
    if fields is None:
        return hashes
    if FIELDS not in recorded:
        return [f"{hashes[0]} (which fields differ is unknown: an earlier version started the study)"]
    return describe_drift(fields, recorded[FIELDS]) or hashes


def hold_to_space(study: optuna.Study, space: SearchSpace) -> None:
    """The same for the space that is searched: samplers compare trials parameter by parameter."""
    recorded = study.user_attrs.get(SPACE)
    if recorded is None:
        study.set_user_attr(SPACE, space.model_dump(mode="json"))
        return
    differing = describe_drift(space.model_dump(mode="json"), SearchSpace(**recorded).model_dump(mode="json"))
    if differing:
        raise StudyError(f"study {study.study_name!r} searches another space: {'; '.join(differing)}; {FIX}")
