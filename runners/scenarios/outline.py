"""An outline of a scenario: enough of it to plan, without the models and data sets that are only on the Hub.

Placeholders stand for what was not looked at, as many as the file says. Keys of an outline's blocks are therefore no
keys of its scenario's: nothing is ever trained or stored under them.
"""

from pathlib import Path

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.catalog import POOLS, SUITES
from tuition.runners.scenarios.batch_checks import check_batches, check_pools
from tuition.runners.scenarios.scenario import Scenario, hash_texts
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.sources import HubError, ModelSource, ProblemSource


class Outline(Scenario):
    """A scenario read from its file alone, as far as that goes. ScenarioError for what is wrong in the file."""

    def __init__(self, file: ScenarioFile, folder: Path):
        self.file = file
        self.folder = folder
        self.name = file.name
        self.labels = _problems(file.labels, folder, "label")
        self.prompts = _problems(file.prompts, folder, "prompt")
        self.validation = _problems(file.validation.problems, folder, "validation problem")
        self.test = _problems(file.test.problems, folder, "test problem")
        self.overlaps = ()
        check_pools(file, self.labels, self.validation, self.test)
        check_batches(file, len(self.prompts))

    def _content(self, model: str) -> str:
        return hash_texts("outline", self.source(model).model_dump_json())


def load_to_plan(name_or_path: str) -> Scenario:
    """The scenario, or its outline where a model or a data set would have to be fetched first."""
    file, folder = ScenarioFile.read(name_or_path)
    models = [model for model in (file.student, *file.teachers.values()) if model.hub is not None]
    if all(map(_is_here, models)):
        try:
            return Scenario.load(name_or_path)
        except HubError:
            pass
    return Outline(file, folder)


def _is_here(model: ModelSource) -> bool:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(str(model.hub), revision=model.revision, allow_patterns=model.patterns, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def _problems(source: ProblemSource, folder: Path, word: str) -> tuple[Problem, ...]:
    if source.suite is None:
        return source.load(folder)
    there = {**SUITES, **POOLS}[source.suite].num_problems - len(source.without) - source.skip
    count = there if source.count is None else source.count
    return tuple(Problem(f"{word} {number}", f"{word} {number} of {source.suite}", "0") for number in range(count))
