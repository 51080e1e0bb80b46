"""Loading: where a suite's problems come from, and the checksum that every copy of them must match.

What: `Suite` holds the constants of one suite's file; `load` reads its rows from a local JSONL file or from the Hub
by `datasets`, checks them, and returns problems whose ids and order do not depend on the copy; `read_lock` and
`write_lock` keep what a user has looked up online (revision, checksum) in a small file.

Canonical row: both texts without any white space, in Unicode form NFC; of the answer, one outer pair of `$` is
dropped, and a plain integer loses its thousands commas and leading zeros. A row's digest is SHA-256 of the canonical
problem, a null byte and the canonical answer; the checksum is SHA-256 over the sorted digests, one a line, so the
order of rows does not matter. An id is the suite's name and ten hex digits of SHA-256 of the canonical problem;
problems are sorted by id, so the first n are a fixed mixture, not the n that an exam put first.

Simplified: ids of the sources are dropped. Nothing that a data set ships is executed: rows are read from JSON and
Parquet, and `datasets` from version 4 on has no loading scripts at all.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tuition.benchmarks.artefacts import write_json
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.problems import Problem

LOCK_FILE = "suites.lock.json"

Row = Mapping[str, Any]
SuiteKind = Literal["validation", "test"]
"""What a suite is for in a scenario: a search sees validation scores only."""


class SuiteError(ValueError):
    """A suite that cannot be loaded, or whose rows are not the expected ones; one line with the fix."""


class SuiteUnreachableError(SuiteError):
    """A data set that the Hub does not give: offline, absent, or not for this user."""

    def __init__(self, reason: str, fix: str):
        super().__init__(f"{reason}: {fix}")
        self.reason = reason


@dataclass(frozen=True)
class HubSource:
    """A data set on the Hub. `revision` is a commit; None where it could not be verified: the lock file fills it."""

    repo: str
    config: str | None
    split: str
    read_row: Callable[[Row], Problem]
    """The problem of one row; its id is dropped. KeyError, TypeError or ValueError for a row of another shape."""
    revision: str | None = None


@dataclass(frozen=True)
class Suite:
    """One suite. `checksum` covers problems with answers, `texts_checksum` the problems alone.

    Both are None for a suite whose rows could not be verified when it was written.
    """

    name: str
    version: int
    title: str
    num_problems: int
    checksum: str | None
    texts_checksum: str | None
    hub: HubSource
    files: tuple[str, ...]
    """Names under which a data folder may hold it, besides `<name>.jsonl`."""
    repeats: bool = False
    """Whether a problem may be there twice, as in a training set; then the first counts."""

    @property
    def versioned(self) -> str:
        """Name with version, as keys and tables carry it."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class LoadedSuite:
    """Problems of a suite, or of its first few.

    `name` says so ("math500@1[:20]"). `verified`: all rows, before any limit, match the checksum in the suite's file.
    """

    name: str
    suite: str
    problems: tuple[Problem, ...]
    num_problems_whole: int
    verified: bool
    source: str
    checksum: str

    @property
    def partial(self) -> bool:
        """Whether these are only the first few problems."""
        return len(self.problems) < self.num_problems_whole

    def first(self, limit: int | None) -> "LoadedSuite":
        """The first `limit` problems under a name that says so; all of them for None."""
        if limit is None or limit >= len(self.problems):
            return self
        return replace(self, name=f"{self.suite}[:{limit}]", problems=self.problems[:limit])


def canonical_problem(text: str) -> str:
    """The problem text that digests and ids are made of."""
    return unicodedata.normalize("NFC", "".join(text.split()))


def canonical_answer(text: str) -> str:
    """The answer text that digests are made of."""
    answer = canonical_problem(text)
    if len(answer) > 2 and answer[0] == answer[-1] == "$" and "$" not in answer[1:-1]:
        answer = answer[1:-1]
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+", answer):
        answer = answer.replace(",", "")
    # Not int(): it refuses more than some thousand digits, and reads other scripts' digits as ours.
    whole = re.fullmatch(r"(-?)0*([0-9]+)", answer)
    return whole[1] + whole[2] if whole else answer


def checksums(problems: Sequence[Problem]) -> tuple[str, str]:
    """The checksum of problems with answers, and that of the problems alone."""
    texts = [canonical_problem(problem.problem) for problem in problems]
    rows = [f"{text}\0{canonical_answer(p.answer)}" for text, p in zip(texts, problems, strict=True)]
    return _checksum(rows), _checksum(texts)


def _checksum(texts: Sequence[str]) -> str:
    digests = sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def load(suite: Suite, data_dir: Path | None = None, lock: Mapping[str, Any] | None = None) -> LoadedSuite:
    """All problems of a suite, checked.

    Args:
        suite: the suite.
        data_dir: a folder with `<name>.jsonl` (or one of `suite.files`); without it the Hub is asked.
        lock: what `read_lock` returns: revision and checksum that were looked up online.

    SuiteError when the rows are not available or not the expected ones.
    """
    locked = (lock or {}).get(suite.versioned, {})
    if data_dir is not None:
        path = local_file(suite, data_dir)
        raw, source = read_jsonl(path), path.name
    else:
        revision = suite.hub.revision or locked.get("revision")
        raw, source = read_hub(suite, revision), f"{suite.hub.repo}@{revision or 'newest'}"
    found, found_texts = checksums(raw)
    _compare(suite, source, len(raw), found, found_texts, locked.get("checksum"))
    return LoadedSuite(
        name=suite.versioned,
        suite=suite.versioned,
        problems=_renamed(suite, raw, source),
        num_problems_whole=len(raw),
        verified=suite.checksum is not None,
        source=source,
        checksum=found,
    )


def _compare(suite: Suite, source: str, count: int, found: str, texts: str, locked: str | None) -> None:
    expected = suite.checksum or locked
    if expected is None and count == suite.num_problems:
        return
    if found == expected:
        return
    if count != suite.num_problems:
        differs = f"it has {count} rows, not {suite.num_problems}"
    elif suite.texts_checksum is None:
        differs = "its problems or answers changed after they were locked"
    elif texts == suite.texts_checksum:
        differs = "the problems match, an answer differs"
    else:
        differs = "the text of a problem differs"
    raise SuiteError(
        f"{suite.versioned} from {source}: checksum {found[:16]}…, expected {(expected or 'none')[:16]}… ({differs}); "
        "scores on other rows are not comparable: give a folder with the right rows as --data-dir"
    )


def _renamed(suite: Suite, raw: Sequence[Problem], source: str) -> tuple[Problem, ...]:
    problems: dict[str, Problem] = {}
    for problem in raw:
        digest = hashlib.sha256(canonical_problem(problem.problem).encode()).hexdigest()
        renamed = replace(problem, id=f"{suite.name}-{digest[:10]}")
        if renamed.id in problems and suite.repeats:
            continue
        if renamed.id in problems:
            raise SuiteError(f"{suite.versioned} from {source}: problem {problem.problem[:60]!r} appears twice")
        problems[renamed.id] = renamed
    return tuple(problems[key] for key in sorted(problems))


def local_file(suite: Suite, data_dir: Path) -> Path:
    """The suite's file in a folder; SuiteError when there is none."""
    names = (f"{suite.name}.jsonl", *suite.files)
    path = next((data_dir / name for name in names if (data_dir / name).is_file()), None)
    if path is None:
        raise SuiteError(
            f"{suite.versioned} is not in {data_dir} (looked for {', '.join(names)}): write one JSON object per line "
            f"with problem and answer there, or omit --data-dir to fetch {suite.hub.repo} from the Hub"
        )
    return path


def read_jsonl(path: Path) -> list[Problem]:
    """Rows of a local file with `problem`, `answer` and, if known, `level` and `subject`. SuiteError names the line."""
    problems = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read ({error}): give a JSONL file in UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            problems.append(problem_of(row["problem"], row["answer"], row.get("level"), row.get("subject")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SuiteError(f"{path}:{number}: not a row with problem and answer ({error!r:.200})") from None
    return problems


def problem_of(problem: object, answer: object, level: object = None, subject: object = None) -> Problem:
    """A problem from fields of unknown type; TypeError or ValueError for what cannot be a problem.

    Texts are stripped; a whole number as answer becomes its digits.
    """
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    if isinstance(answer, int) and not isinstance(answer, bool):
        answer = str(answer)
    if not isinstance(problem, str) or not isinstance(answer, str):
        raise TypeError(f"problem and answer must be text, not {type(problem).__name__} and {type(answer).__name__}")
    if not problem.strip() or not answer.strip():
        raise ValueError("problem or answer is empty")
    if not isinstance(level, int | None) or not isinstance(subject, str | None):
        raise TypeError("level must be an integer and subject text")
    (problem + answer + (subject or "")).encode()  # lone surrogates could not be kept in a table
    return Problem("", problem.strip(), answer.strip(), level, subject)


def read_hub(suite: Suite, revision: str | None) -> list[Problem]:
    """Rows of a suite's data set, from the Hub or its local cache. SuiteError says how else to get them."""
    import datasets
    import httpx

    hub = suite.hub
    try:
        rows = datasets.load_dataset(hub.repo, hub.config, split=hub.split, revision=revision)
        return [hub.read_row(row) for row in rows]
    except (OSError, RuntimeError, httpx.HTTPError, datasets.exceptions.DatasetsError) as error:
        # ConnectionError and huggingface_hub's errors are OSError; an absent repository is a DatasetsError.
        reason = one_line(error, 200)
        raise SuiteUnreachableError(
            f"{suite.versioned}: {hub.repo} cannot be fetched ({type(error).__name__}: {reason})",
            f"go online once, or put {suite.name}.jsonl into a folder and give it as --data-dir",
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise SuiteError(f"{suite.versioned}: a row of {hub.repo} has an unexpected shape ({error!r:.200})") from None


def read_lock(folder: Path) -> dict[str, Any]:
    """What `tuition suites lock` has found, by versioned name; nothing where there is no lock file."""
    path = folder / LOCK_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SuiteError(f"{path} is unreadable ({error}): remove it and run `tuition suites lock` again") from None
    entries = document.values() if isinstance(document, dict) else [None]
    if not all(isinstance(e, dict) and all(isinstance(v, str) for v in e.values()) for e in entries):
        raise SuiteError(f"{path} does not hold locks: remove it and run `tuition suites lock` again")
    return dict(document)


def write_lock(folder: Path, lock: Mapping[str, Any]) -> Path:
    """Keep locks; the file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(lock, folder / LOCK_FILE)
    return folder / LOCK_FILE
