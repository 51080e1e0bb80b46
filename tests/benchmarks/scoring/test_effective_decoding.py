"""What of a checkpoint's own generation configuration decides a draw: its end tokens, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuition.benchmarks.scoring.effective_decoding import TAKEN_BEFORE, EffectiveDecoding, taken_before
from tuition.benchmarks.scoring.sampling import NEUTRAL_IN_GENERATE, Decoding

SCENARIOS = Path(__file__).parents[3] / "runners" / "scenarios"


def configured(folder: Path, name: str = "generation_config.json", **content: Any) -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "advice",
    [
        {},
        {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": [1, 2], "pad_token_id": 0},
        {"repetition_penalty": 1.0, "num_beams": 1, "typical_p": 1.0, "min_p": None, "use_cache": True},
    ],
)
def test_end_tokens_and_advice_on_sampling_never_changed_a_draw(tmp_path: Path, advice: dict[str, Any]) -> None:
    assert taken_before(configured(tmp_path, **advice)) == {}


def test_what_changed_draws_is_named(tmp_path: Path) -> None:
    own = {"repetition_penalty": 1.05, "min_p": 0.1, "stop_strings": ["\n"], "temperature": 0.7}
    assert taken_before(configured(tmp_path, **own)) == {
        "repetition_penalty": 1.05, "min_p": 0.1, "stop_strings": ["\n"]
    }  # fmt: skip


def test_without_its_file_it_stands_in_the_models_configuration(tmp_path: Path) -> None:
    assert taken_before(configured(tmp_path, "config.json", hidden_size=8, num_beams=4)) == {"num_beams": 4}
    assert taken_before(configured(tmp_path, eos_token_id=1)) == {}
    assert taken_before(tmp_path / "nowhere") == {}


def test_no_shipped_model_was_drawn_otherwise() -> None:
    folders = [path.parent for path in SCENARIOS.glob("micro*/*/config.json")]
    assert len(folders) == 7 and all(taken_before(folder) == {} for folder in folders)


def test_what_is_passed_to_generate_is_what_changes_nothing() -> None:
    of_beams = {"length_penalty": 1.0, "early_stopping": False}  # read by beam search only
    assert of_beams.items() <= NEUTRAL_IN_GENERATE.items() <= {**TAKEN_BEFORE, **of_beams}.items()


def test_the_record_says_every_field() -> None:
    said = EffectiveDecoding.of("vllm", Decoding("d", 0.7, 0.8, 20, 64), [5, 1]).model_dump()
    assert said == {
        "engine": "vllm", "temperature": 0.7, "top_p": 0.8, "top_k": 20, "max_new_tokens": 64, "ends": (1, 5),
        "min_p": 0.0, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "repetition_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "no_repeat_ngram_size": 0, "min_new_tokens": 0,
        "num_beams": 1, "vocabulary": None, "not_sent": (),
    }  # fmt: skip
