"""`tuition scenarios new`: a commented scenario for a user's own models and problems, and what is wrong with either.

One file of problems becomes labels, validation and test. Problems that the file has twice, and answers that the grader
cannot read, are left out by name, so that the scenario loads; what else is found is reported, and nothing is changed.
Simplified: of a model only the tokenizer and the configuration are read, so nothing large is fetched from the Hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tuition.app.commands.options import DEFAULT_RESULTS
from tuition.app.scenarios.scenario_text import LABEL_BLOCKS, NewScenario, scenario_text
from tuition.app.scoring.suite_listing import find_contamination
from tuition.benchmarks.grading.hard_golds import UNREADABLE, hard_golds, in_sentences
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.scoring.decoding import SUFFIX
from tuition.benchmarks.scoring.sampling import Decoding, encode_prompts, render_prompt
from tuition.runners.scenarios.model_checks import findings
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import ScenarioFile
from tuition.runners.scenarios.sources import TOKENIZER_FILES, ModelSource, ProblemSource
from tuition.runners.training.checkpoint import load_tokenizer

FEWEST_PROBLEMS = 32
SHOWN = 10  # ids that a line names


class NewScenarioError(ValueError):
    """A scenario that cannot be made; one line with the fix."""


@dataclass(frozen=True)
class Reader:
    """What is read of a model: how it turns prompts into tokens, and how many it can take."""

    name: str
    tokenizer: Any
    vocab_size: int


def make_scenario(request: NewScenario) -> dict[str, Any]:
    """Check models and problems, and write the scenario.

    NewScenarioError (or ScenarioError) when it cannot be made; then nothing is written. In the
    account, `problems` stop the scenario or a part of it, `notes` are worth knowing.
    """
    if request.out.exists():
        raise NewScenarioError(f"{request.out} already exists: choose another file, or delete it first")
    if request.out.suffix not in (".yaml", ".yml") or not request.out.parent.is_dir():
        raise NewScenarioError(f"{request.out}: choose a file name that ends in .yaml, in an existing folder")
    problems = ProblemSource(jsonl=str(request.problems.resolve())).load(Path())
    hard = hard_golds([problem.answer for problem in problems])
    repeated, ungradable = find_repeats(problems), [problems[one.place].id for one in hard if one.kind == UNREADABLE]
    without = sorted({*repeated, *ungradable})
    num_good = len(problems) - len(without)
    if num_good < FEWEST_PROBLEMS:
        raise NewScenarioError(
            f"{request.problems} has {num_good} usable problems ({len(repeated)} are repeats, "
            f"{len(ungradable)} have answers that the grader cannot read{_named(ungradable)}): give "
            f"{FEWEST_PROBLEMS} or more"
        )
    found: dict[str, list[str]] = {"problems": [], "notes": []}
    if repeated:
        found["notes"].append(f"{len(repeated)} problems are repeats and were left out{_named(repeated)}")
    if ungradable:
        found["notes"].append(
            f"{len(ungradable)} answers cannot be read by the grader and were left out{_named(ungradable)}"
        )
    ids = [problem.id for problem in problems]
    found["notes"] += in_sentences([one for one in hard if ids[one.place] not in without], ids)
    good = [problem for problem in problems if problem.id not in without]
    student, teacher = _reader("student", request.student), _reader("teacher", request.teacher)
    template = _template(student, teacher, found)
    lengths = _lengths(student, good, template, request.max_tokens)
    text = scenario_text(request, without, num_good, template)
    scenario = Scenario(ScenarioFile.model_validate(yaml.safe_load(text)), request.out.parent)
    for one in findings(scenario):
        found["problems" if one.problem else "notes"].append(one.text)
    contamination = _contamination(request, found)
    request.out.write_text(text, encoding="utf-8")
    return {
        "file": str(request.out),
        "labels": f"{len(scenario.labels)} in {LABEL_BLOCKS} blocks of {scenario.file.labels_per_block}",
        "validation": len(scenario.validation),
        "test": len(scenario.test),
        "left_out": without,
        "vocab_size": {"student": student.vocab_size, "teacher": teacher.vocab_size},
        "chat_template": template is not None,
        "prompt_tokens": lengths,
        "contamination": contamination,
        **found,
    }


def find_repeats(problems: Sequence[Problem]) -> list[str]:
    """Ids of problems whose text, but for case and white space, an earlier one has."""
    first: dict[str, str] = {}
    for problem in problems:
        first.setdefault("".join(problem.problem.lower().split()), problem.id)
    kept = set(first.values())
    return [problem.id for problem in problems if problem.id not in kept]


def _reader(role: str, name: str) -> Reader:
    from transformers import AutoConfig

    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.count("/") != 1:
            raise NewScenarioError(f"{role} {name!r}: no such folder; give a folder, or a Hub id such as owner/name")
        folder = ModelSource(hub=name).fetch(TOKENIZER_FILES)
    elif not list(folder.glob("*.safetensors")):
        raise NewScenarioError(f"{role} {name!r}: the folder has no safetensors weights: give a checkpoint's folder")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_text_config()
        return Reader(role, load_tokenizer(folder), config.vocab_size)
    except (OSError, ValueError) as error:
        reason = one_line(error, 160)
        raise NewScenarioError(f"{role} {name!r}: its configuration or tokenizer cannot be read ({reason})") from None


def _template(student: Reader, teacher: Reader, found: dict[str, list[str]]) -> dict[str, bool] | None:
    """Variables for the chat template, or None where prompts are plain text because a model has no template."""
    templates = {reader.name: reader.tokenizer.chat_template for reader in (student, teacher)}
    missing = [name for name, template in templates.items() if not template]
    if missing:
        found["notes"].append(f"no chat template ({' and '.join(missing)}): prompts are plain text")
        return None
    thinks = any("enable_thinking" in str(template) for template in templates.values())
    if thinks:
        found["notes"].append("the chat template has a thinking mode, which is off (`template` in the file)")
    return {"enable_thinking": False} if thinks else {}


def _lengths(
    student: Reader,
    problems: Sequence[Problem],
    template: dict[str, bool] | None,
    max_tokens: int,
) -> dict[str, float]:
    """Tokens of the prompts as the student reads them."""
    decoding = Decoding("new", 1.0, 1.0, 0, max_tokens, prompt_suffix=SUFFIX, chat_template=template is not None)
    prompts = [render_prompt(problem.problem, decoding) for problem in problems]
    lengths = [len(ids) for ids in encode_prompts(student.tokenizer, prompts, template)]
    return {"shortest": min(lengths), "median": median(lengths), "longest": max(lengths)}


def _contamination(request: NewScenario, found: dict[str, list[str]]) -> dict[str, str]:
    """What the problems share with each suite that is available."""
    shared = {}
    for row in find_contamination(request.problems, [], request.data_dir, DEFAULT_RESULTS):
        if row["exact"] is None:
            shared[row["suite"]] = "not available"
            continue
        shared[row["suite"]] = f"{row['exact']} exact, {row['ngram']} by 13-gram"
        if row["exact"]:
            ids = sorted({pair["label"] for pair in row["pairs"] if pair["test"] == "exact"})
            found["notes"].append(
                f"{row['exact']} problems are in {row['suite']}{_named(ids)}: scores on it are contaminated unless "
                "they are listed under `without`"
            )
    return shared


def _named(ids: Sequence[str]) -> str:
    if not ids:
        return ""
    return f" ({', '.join(ids[:SHOWN])}{', …' if len(ids) > SHOWN else ''})"
