"""The base checkpoints' tokenizer, and that the shipped one is what the build writes."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tuition.benchmarks.suites.micro import MIXES, make_problems
from tuition.runners.base_models.micro_build import BASES, BuildError, build, make_tokenizer, solution
from tuition.runners.scenarios.scenario_file import BUILT_IN


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_digits_are_taken_in_pairs_from_the_left_and_any_other_character_alone(tokenizer: Any) -> None:
    assert tokenizer.tokenize("57k=") == ["57", "k", "="]
    assert tokenizer.tokenize("578=") == ["57", "8", "="]
    assert tokenizer.tokenize(solution(57, 83)) == ["\\boxed{", "57", "83", "}"]


@pytest.mark.parametrize("mix", MIXES)
def test_problems_and_solutions_are_tokens_and_the_same_text_again(tokenizer: Any, mix: str) -> None:
    for problem in make_problems("labels", len(MIXES[mix].letters), mix):
        text = f"{problem.problem}\\boxed{{{problem.answer}}}"
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids and len(ids) == 7
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("name", BASES)
def test_the_shipped_tokenizer_is_the_one_that_the_build_writes(tokenizer: Any, name: str) -> None:
    shipped = AutoTokenizer.from_pretrained(BUILT_IN / name)
    assert shipped.get_vocab() == tokenizer.get_vocab()
    assert shipped("57k=\\boxed{5783}").input_ids == tokenizer("57k=\\boxed{5783}").input_ids


def test_an_unknown_base_checkpoint_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"unknown base checkpoint 'large'; choose from micro/student, micro/teacher"):
        build(tmp_path, ["large"])
