"""What the content hash of a base model covers, and which weights it is of."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.training.checkpoint import CheckpointError, hash_base, load_tokenizer, weight_files

STUDENT = BUILT_IN / "micro" / "student"
# Pinned: stores that older versions wrote are found by it.
CONTENT = "71a8d8815bf1b8854813a34ffed2a5c1962b64f993fb01ddcb7d4b12189db552"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STUDENT, tmp_path / "student"))


def slow_tokenizer(folder: Path, *merges: str) -> None:
    """Vocabulary and merges in files of their own."""
    (folder / "tokenizer.json").unlink()
    tokens = ["<|endoftext|>", *"abcdefgh0123456789=", "ab", "bc", "abc"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    ends = dict.fromkeys(("eos_token", "pad_token"), "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Qwen2Tokenizer", **ends}))


def test_the_hash_of_a_shipped_model_is_what_it_was() -> None:
    assert hash_base(STUDENT) == CONTENT


def test_merges_of_a_tokenizer_without_tokenizer_json_count(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    slow_tokenizer(folder, "a b", "ab c")
    slow_tokenizer(other, "b c", "a bc")
    ids = [load_tokenizer(each)("ababbc")["input_ids"] for each in (folder, other)]
    assert ids[0] != ids[1] and hash_base(folder) != hash_base(other)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("additional_chat_templates/tools.jinja", "{{ messages }}"),
        ("added_tokens.json", json.dumps({"<new>": 163})),
    ],
)
def test_what_is_read_beside_tokenizer_json_counts(folder: Path, name: str, content: str) -> None:
    before = hash_base(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    assert hash_base(folder) != before


def test_added_tokens_that_the_tokenizers_configuration_holds_are_not_read(folder: Path) -> None:
    configuration = folder / "tokenizer_config.json"
    configuration.write_text(json.dumps({**json.loads(configuration.read_text()), "added_tokens_decoder": {}}))
    before = hash_base(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": 163}))
    assert hash_base(folder) == before


def test_what_is_not_read_does_not_count(folder: Path) -> None:
    before = hash_base(folder)
    (folder / "vocab.json").write_text("{}")  # tokenizer.json holds the vocabulary
    (folder / "README.md").write_text("a model")
    save_file({"stray": torch.zeros(2)}, folder / "consolidated.safetensors")
    assert hash_base(folder) == before == CONTENT


def test_of_several_weight_files_those_of_the_index_count(folder: Path) -> None:
    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    whole = hash_base(folder)
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"part-1.safetensors": names[:5], "part-2.safetensors": names[5:]}
    for file, of_it in parts.items():
        save_file({name: tensors[name] for name in of_it}, folder / file, {"format": "pt"})
    save_file({names[0]: torch.zeros(2)}, folder / "zzz.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, of_it in parts.items() for name in of_it}}))
    assert [file.name for file in weight_files(folder)] == list(parts)
    assert hash_base(folder) == whole
    index.write_text("{}")
    with pytest.raises(CheckpointError, match=r"index\.json cannot be read .*: fetch the model again"):
        weight_files(folder)
