"""Sampling: prompts, batches, determinism, order, truncation and random streams, on a tiny random model."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from tuition.benchmarks.scoring.sampling import (
    Decoding,
    Stream,
    encode_prompts,
    generate_batch,
    generate_ids,
    in_batches,
    render_prompt,
)
from tuition.benchmarks.suites.micro import make_problems
from tuition.runners.base_models.micro_build import make_tokenizer

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


def drawn(model: Any, tokenizer: Any, decoding: Decoding = DECODING, seed: int = 1, batch_size: int = 4) -> list[Any]:
    """Three completions of each problem."""
    prompts = encode_prompts(tokenizer, [problem.problem for problem in PROBLEMS for _ in range(3)])
    return generate_ids(model, tokenizer, prompts, decoding, seed, batch_size)


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


def test_the_same_arguments_give_the_same_completions(model: Any, tokenizer: Any) -> None:
    first = drawn(model, tokenizer)
    assert first == drawn(model, tokenizer) != drawn(model, tokenizer, seed=2)
    assert len(first) == 15 and len({tuple(ids) for ids in first}) > 3


def test_the_callers_random_state_and_the_models_mode_are_untouched(model: Any, tokenizer: Any) -> None:
    model.train()
    state = torch.get_rng_state()
    drawn(model, tokenizer)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    model.eval()
    drawn(model, tokenizer)
    assert not model.training


def test_an_error_while_sampling_restores_mode_and_random_state(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**_: Any) -> None:
        torch.rand(1)
        raise RuntimeError("stopped")

    model.train()
    state = torch.get_rng_state()
    monkeypatch.setattr(model, "generate", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        drawn(model, tokenizer)
    assert model.training and torch.equal(torch.get_rng_state(), state)


def test_padding_changes_no_greedy_completion(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, [problem.problem for problem in PROBLEMS])
    assert len(set(map(len, prompts))) > 1
    alone = [generate_ids(model, tokenizer, [prompt], GREEDY, seed=5)[0] for prompt in prompts]
    assert generate_ids(model, tokenizer, prompts, GREEDY, seed=0) == alone


def test_batches_hold_the_longest_prompts_first_and_keep_the_order_of_equals() -> None:
    assert in_batches([2, 3, 2, 5, 3], 2) == [[3, 1], [4, 0], [2]]
    assert in_batches([], 2) == []


def test_a_stream_taken_up_elsewhere_draws_what_it_would_have_drawn(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, [problem.problem for problem in PROBLEMS] * 3)
    batches = in_batches([len(prompt) for prompt in prompts], 4)
    expected = generate_ids(model, tokenizer, prompts, DECODING, 7, 4)
    stream = Stream(7)
    for batch in batches:
        torch.manual_seed(99)  # as another process has it
        tokens, after = generate_batch(model, tokenizer, [prompts[place] for place in batch], DECODING, stream)
        assert tokens == [expected[place] for place in batch]
        stream = Stream(**json.loads(json.dumps(asdict(after))))
    assert stream != Stream(7)


def test_a_greedy_completion_is_the_argmax_of_the_model(model: Any, tokenizer: Any) -> None:
    (prompt,) = encode_prompts(tokenizer, ["12k="])
    (completion,) = generate_ids(model, tokenizer, [prompt], GREEDY, seed=0)
    ids = list(prompt)
    for token in completion:
        with torch.no_grad():
            assert int(model.eval()(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)


def test_top_k_of_one_is_greedy_whatever_the_models_own_configuration_says(model: Any, tokenizer: Any) -> None:
    top = Decoding("top", temperature=1.0, top_p=1.0, top_k=1, max_new_tokens=6)
    assert drawn(model, tokenizer, top) == drawn(model, tokenizer, GREEDY)
    plain = drawn(model, tokenizer)
    model.generation_config.top_k = 1
    try:
        assert drawn(model, tokenizer) == plain
    finally:
        model.generation_config.top_k = None


def test_a_completion_ends_with_its_end_token_or_is_truncated(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, [p.problem for p in PROBLEMS] * 20)
    completions = generate_ids(model, tokenizer, prompts, DECODING, seed=3)
    end = tokenizer.eos_token_id
    assert {end in ids for ids in completions} == {True, False}
    assert all(end not in ids[:-1] for ids in completions)
    assert all(len(ids) == DECODING.max_new_tokens for ids in completions if ids[-1] != end)


def test_a_further_end_token_of_the_model_ends_a_completion(model: Any, tokenizer: Any) -> None:
    prompts = encode_prompts(tokenizer, ["12k="])
    (before,) = generate_ids(model, tokenizer, prompts, GREEDY, seed=0)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, before[0]]
    try:
        assert generate_ids(model, tokenizer, prompts, GREEDY, seed=0) == [before[:1]]
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def test_no_prompts_give_no_completions(model: Any, tokenizer: Any) -> None:
    assert generate_ids(model, tokenizer, [], DECODING, seed=0) == []


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


def test_batches_of_nothing_and_empty_prompts_are_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        drawn(model, tokenizer, batch_size=0)
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        generate_ids(model, tokenizer, [[3], []], DECODING, seed=0)
