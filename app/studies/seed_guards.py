"""No training seed is both searched on and tested on, in one results folder and scenario, whichever came first.

What: `refuse_test_seed` is for a search that begins, `refuse_searched_seeds` for a test; plans ask both.
`note_search` writes down, when a search opens, on which seed it is: one that was killed has no report yet.

Simplified: searches of another results folder, and of another scenario's name, are not seen.
"""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from tuition.app.studies.study_report import Frozen, SearchReport, StudyReport, looks_before, read_report
from tuition.benchmarks.artefacts import FileError, read_json, write_json
from tuition.benchmarks.results_folder import ResultsFolder, StudyFolder
from tuition.planner.storage import StudyError


class BegunSearch(Frozen):
    """On which training seed of which scenario a study searches; the file `search.json` of its folder."""

    format: int = 1
    scenario: str
    seed: int


def note_search(folder: StudyFolder, scenario: str, seed: int) -> None:
    """Write down that a study searches on this seed; its folder is there."""
    write_json(BegunSearch(scenario=scenario, seed=seed).model_dump(), folder.search)


def refuse_test_seed(seed: int, scenario: str, folder: StudyFolder, results: ResultsFolder) -> None:
    """StudyError for a new search on a training seed that another study of the scenario was tested on.

    Its search would see how the runs of that test validate. A study that was begun before goes on.
    """
    if folder.database.exists() or folder.report.exists():
        return
    for other, report in _reports(results):
        if report.scenario == scenario and any(seed in look.seeds for look in report.looks):
            raise StudyError(
                f"--seed {seed}: study {other.name!r} was tested on this training seed; choose another one"
            )


def refuse_searched_seeds(
    seeds: Sequence[int], scenario: str, folder: StudyFolder, results: ResultsFolder, fix: str
) -> None:
    """StudyError for a test on a training seed that a search of the scenario was on; `fix` says what else to do.

    What was searched was selected by how the runs of that seed validate. A study that was tested so before is shown
    again.
    """
    looked = {seed for look in looks_before(folder.report) for seed in look.seeds}
    for name, searched in _searches(results, scenario):
        if searched in set(seeds) - looked:
            raise StudyError(f"the test would train on seed {searched}, on which study {name!r} has searched: {fix}")


def _reports(results: ResultsFolder) -> Iterator[tuple[StudyFolder, StudyReport]]:
    for folder in results.study_folders():
        try:
            yield folder, read_report(folder.report)
        except (FileNotFoundError, FileError):
            continue


def _searches(results: ResultsFolder, scenario: str) -> Iterator[tuple[str, int]]:
    """(study, seed) of every search of a scenario that was begun; those of earlier versions by their reports."""
    for folder in results.study_folders():
        try:
            begun = BegunSearch.model_validate(read_json(folder.search))
        except FileNotFoundError:
            continue
        except (FileError, ValidationError):
            raise StudyError(f"{folder.search} cannot be read: delete it, and rerun that search") from None
        if begun.scenario == scenario:
            yield folder.name, begun.seed
    for folder, report in _reports(results):
        if isinstance(report, SearchReport) and report.scenario == scenario:
            yield folder.name, report.seed
