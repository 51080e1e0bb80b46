"""Sampling: prompts, determinism, order, truncation, and the table of graded samples, on a tiny random model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from benchmarks.grading import Grader
from benchmarks.records import SAMPLE_COLUMNS, correct_PK
from benchmarks.sampling import (
    Completion,
    Decoding,
    draw_ids,
    encode_prompts,
    render_prompt,
    sample,
    score_samples,
)
from benchmarks.suites.micro import Problem, make_problems
from runners.micro_build import make_tokenizer

DECODING = Decoding("test", temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=6)
GREEDY = Decoding("greedy", temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=6)
# Of several lengths, so that batches are padded.
PROBLEMS = [
    replace(problem, problem=problem.problem * times)
    for problem, times in zip(make_problems("test", 5), (1, 1, 1, 2, 3), strict=True)
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    configuration = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        # Large weights: a flat model would hide errors of padding and position.
        initializer_range=0.6,
    )
    return Qwen3ForCausalLM(configuration)


def test_the_prompt_is_the_problem_with_the_suffix_or_a_users_message() -> None:
    suffixed = Decoding("s", 1.0, 1.0, 0, 6, prompt_suffix=" Think.")
    chat = Decoding("c", 1.0, 1.0, 0, 6, prompt_suffix=" Think.", chat_template=True)
    assert render_prompt("1+1=", DECODING) == "1+1="
    assert render_prompt("1+1=", suffixed) == "1+1= Think."
    assert render_prompt("1+1=", chat) == [{"role": "user", "content": "1+1= Think."}]


def test_text_and_messages_become_token_ids(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for message in messages %}={{ message['content'] }}{% endfor %}{% if add_generation_prompt %}a{% endif %}"
    )
    try:
        ids = encode_prompts(tokenizer, ["12k=", [{"role": "user", "content": "12k"}]])
    finally:
        tokenizer.chat_template = None
    assert [tokenizer.decode(row) for row in ids] == ["12k=", "=12ka"]


def test_the_same_arguments_give_the_same_completions_in_order(model: Any, tokenizer: Any) -> None:
    first = sample(model, tokenizer, PROBLEMS, DECODING, 3, seed=1, batch_size=4)
    assert first == sample(model, tokenizer, PROBLEMS, DECODING, 3, seed=1, batch_size=4)
    assert first != sample(model, tokenizer, PROBLEMS, DECODING, 3, seed=2, batch_size=4)
    assert [(c.problem_index, c.sample) for c in first] == [(p, k) for p in range(5) for k in range(3)]
    assert len({c.text for c in first}) > 3


def test_the_callers_random_state_and_the_models_mode_are_untouched(model: Any, tokenizer: Any) -> None:
    model.train()
    state = torch.get_rng_state()
    sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    model.eval()
    sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=1)
    assert not model.training


def test_an_error_while_sampling_restores_the_mode(model: Any, tokenizer: Any) -> None:
    model.train()

    def stop(done: int, total: int) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=1, progress=stop)
    assert model.training


def test_padding_changes_no_greedy_completion(model: Any, tokenizer: Any) -> None:
    together = sample(model, tokenizer, PROBLEMS, GREEDY, 1, seed=0)
    assert len({len(p.problem) for p in PROBLEMS}) > 1
    for index, problem in enumerate(PROBLEMS):
        (alone,) = sample(model, tokenizer, [problem], GREEDY, 1, seed=5)
        assert (alone.text, alone.num_tokens) == (together[index].text, together[index].num_tokens)


def test_a_greedy_completion_is_the_argmax_of_the_model(model: Any, tokenizer: Any) -> None:
    (prompt,) = encode_prompts(tokenizer, ["12k="])
    (drawn,) = draw_ids(model, tokenizer, [prompt], GREEDY, seed=0)
    ids = list(prompt)
    for token in drawn:
        with torch.no_grad():
            assert int(model.eval()(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)


def test_top_k_of_one_is_greedy_whatever_the_models_own_configuration_says(model: Any, tokenizer: Any) -> None:
    top = Decoding("top", temperature=1.0, top_p=1.0, top_k=1, max_new_tokens=6)
    expected = sample(model, tokenizer, PROBLEMS, GREEDY, 1, seed=0)
    assert sample(model, tokenizer, PROBLEMS, top, 1, seed=0) == expected
    plain = sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=0)
    model.generation_config.top_k = 1
    try:
        assert sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=0) == plain
    finally:
        model.generation_config.top_k = None


def test_a_completion_ends_with_its_end_token_or_is_truncated(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, [p.problem for p in PROBLEMS] * 20)
    drawn = draw_ids(model, tokenizer, prompts, DECODING, seed=3)
    end = tokenizer.eos_token_id
    assert {end in ids for ids in drawn} == {True, False}
    assert all(end not in ids[:-1] for ids in drawn)
    assert all(len(ids) == DECODING.max_new_tokens for ids in drawn if ids[-1] != end)
    completions = sample(model, tokenizer, PROBLEMS * 20, DECODING, 1, seed=3)
    assert [c.truncated for c in completions] == [ids[-1] != end for ids in drawn]
    assert [c.num_tokens for c in completions] == [len(ids) for ids in drawn]
    assert all("<" not in c.text for c in completions)


def test_a_further_end_token_of_the_model_ends_a_completion(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, ["12k="])
    (before,) = draw_ids(model, tokenizer, prompts, GREEDY, seed=0)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, before[0]]
    try:
        assert draw_ids(model, tokenizer, prompts, GREEDY, seed=0) == [before[:1]]
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def test_progress_counts_sequences(model: Any, tokenizer: Any) -> None:
    seen: list[tuple[int, int]] = []
    sample(model, tokenizer, PROBLEMS, DECODING, 2, 0, batch_size=4, progress=lambda *counts: seen.append(counts))
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_no_problems_give_no_completions(model: Any, tokenizer: Any) -> None:
    assert sample(model, tokenizer, [], DECODING, 2, seed=0) == []


def test_completions_become_a_graded_table() -> None:
    problems = [Problem("b", "1+1=", "2", level=1, subject="sums"), Problem("a", "2+2=", "4")]
    texts = {(0, 0): "\\boxed{2}", (0, 1): "\\boxed{3}", (1, 0): "none", (1, 1): "2+2=4 \\boxed{4}"}
    completions = [Completion(p, k, text, len(text), truncated=p == 1) for (p, k), text in texts.items()]
    with Grader() as grader:
        table = score_samples(problems, completions, grader)
    assert list(table.columns) == list(SAMPLE_COLUMNS)
    assert table["verdict"].tolist() == ["correct", "wrong", "no_answer", "correct"]
    assert table["problem_id"].tolist() == ["b", "b", "a", "a"]
    assert table["level"].isna().tolist() == [False, False, True, True]
    ids, outcomes_PK = correct_PK(table)
    assert ids == ["a", "b"]
    assert outcomes_PK.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    ],
)
def test_a_decoding_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 6}
    with pytest.raises(ValueError, match=message):
        Decoding("d", **{**fields, **change})


def test_wrong_counts_and_empty_prompts_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="num_samples is 0"):
        sample(model, tokenizer, PROBLEMS, DECODING, 0, seed=0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        sample(model, tokenizer, PROBLEMS, DECODING, 1, seed=0, batch_size=0)
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        draw_ids(model, tokenizer, [[3], []], DECODING, seed=0)
