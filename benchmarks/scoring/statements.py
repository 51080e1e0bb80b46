"""What was asked in a scored suite, and the answer it wanted: kept beside the scores, so that who reads them sees it.

One JSON file a suite, named by the hash of the suite's name, which holds a version or a content hash.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.problems import Problem


def statements_path(folder: Path, suite: str) -> Path:
    """The file of a suite, whether it is there or not."""
    return folder / f"{hashlib.sha256(suite.encode()).hexdigest()[:32]}.json"


def keep_statements(folder: Path, suite: str, problems: Iterable[Problem]) -> None:
    """Write a suite's problems, unless they are there."""
    path = statements_path(folder, suite)
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    asked = {problem.id: [problem.problem, problem.answer] for problem in problems}
    write_json({"suite": suite, "problems": asked}, path)


def parse_statements(content: object, suite: str) -> dict[str, tuple[str, str]]:
    """(problem, answer) by id, from a file's JSON. ValueError for what is none of this suite."""
    if not isinstance(content, dict) or content.get("suite") != suite or not isinstance(content.get("problems"), dict):
        raise ValueError("holds no problems of this suite")
    return {str(key): (str(problem), str(answer)) for key, (problem, answer) in content["problems"].items()}
