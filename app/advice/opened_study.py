"""A study that is asked for advice: its trials, its scenario, and what the planner thinks of it. It is only read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna

from tuition.app.costs.route_prices import RoutePrices
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.planner.drift import describe_drift
from tuition.planner.planning.planner import Costs, Planner, View
from tuition.planner.planning.sampler import StructuralSampler, base_scores, warm_start_of
from tuition.planner.planning.warm_start import with_guessed_base
from tuition.planner.scores.observations import Observation, in_flight, observations
from tuition.planner.space import SearchSpace
from tuition.planner.storage import StudyError, open_storage
from tuition.planner.study_identity import SEED, SHA256, SPACE
from tuition.runners.scenarios.scenario import Scenario


@dataclass(frozen=True)
class OpenedStudy:
    """A study with its scenario."""

    study: optuna.Study
    scenario: Scenario
    results: ResultsFolder
    folder: StudyFolder

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study_name

    @property
    def seed(self) -> int:
        """The training seed of its trials."""
        return int(self.study.user_attrs[SEED])

    @cached_property
    def space(self) -> SearchSpace:
        """What it searches; the scenario's, where it has not begun."""
        recorded = self.study.user_attrs.get(SPACE)
        return self.scenario.space if recorded is None else SearchSpace(**recorded)

    @cached_property
    def prices(self) -> RoutePrices:
        """What its routes cost, by the best of what is known now."""
        return RoutePrices(self.scenario, self.results)

    @cached_property
    def observed(self) -> list[Observation]:
        """All its scores but those of base models."""
        return observations(self.study)

    @cached_property
    def view(self) -> View:
        """What the planner thinks, computed anew."""
        return planned(self.study, self.space, self.prices.costs(), self.seed)


def open_study(name: str, results: Path, scenario: str | None, storage: str | None) -> OpenedStudy:
    """Open a search of a results folder.

    Args:
        name: the study's.
        results: the results folder.
        scenario: None for the file that the study keeps.
        storage: URL of the study's database; None for the one in the results folder.

    Raises:
        StudyError: where there is no such study, or it is another scenario's.
        StudyNameError: for what could not be a study's name.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    root = ResultsFolder(results)
    folder = root.named_study(name)
    if storage is None and not folder.database.exists():
        known = ", ".join(one.name for one in root.study_folders() if one.database.exists()) or "none"
        raise StudyError(f"no search {name!r} in {results} (searches: {known}); --results names another folder")
    try:
        study = optuna.load_study(study_name=name, storage=open_storage(storage or f"sqlite:///{folder.database}"))
    except KeyError:
        raise StudyError(f"the database has no study {name!r}: correct the name or --storage") from None
    if scenario is None and not folder.scenario.exists():
        raise StudyError(f"study {name!r} keeps no scenario in {results}: give it as --scenario")
    loaded = Scenario.load(scenario or str(folder.scenario))
    recorded = study.user_attrs.get(SHA256)
    if recorded != loaded.sha256:
        differing = describe_drift({SHA256: loaded.sha256}, {SHA256: recorded})
        raise StudyError(f"study {name!r} is of another scenario: {'; '.join(differing)}; omit --scenario")
    return OpenedStudy(study, loaded, root, folder)


def planned(study: optuna.Study, space: SearchSpace, costs: Costs, seed: int, budget: int | None = None) -> View:
    """What the planner thinks of a study, whoever proposes in it.

    Args:
        study: with its scores.
        space: whose allocations are thought of.
        costs: of blocks and scores.
        seed: of the draws.
        budget: label blocks of the study, where the space holds more.
    """
    if isinstance(study.sampler, StructuralSampler) and budget is None:
        return study.sampler.view(study)
    observed = observations(study)
    known = with_guessed_base(base_scores(study), [(one.checkpoint, one.value) for one in observed])
    planner = Planner(space, costs, seed, known, budget=budget, warm=warm_start_of(study))
    return planner.view(observed, in_flight(study))
