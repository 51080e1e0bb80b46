"""Weights and optimizer state on disk: safetensors and JSON, never pickle.

A checkpoint folder is a transformers model folder (or, with LoRA, a peft adapter folder) with its tokenizer. The
hash of its weights covers tensor names, types, shapes and bytes, not the file's layout or its metadata.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuition.benchmarks.artefacts import file_sha256
from tuition.benchmarks.scoring.effective_decoding import taken_before
from tuition.runners.training import pinned

if TYPE_CHECKING:
    import torch


class CheckpointError(RuntimeError):
    """Files of a checkpoint that cannot be read; one line with the path and the fix."""


WHOLE, ADAPTER, INDEX = "model.safetensors", "adapter_model.safetensors", "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that are loaded of a checkpoint folder, in order; others may lie beside them.

    FileNotFoundError when there are none, CheckpointError for an index that cannot be read.
    """
    single = folder / (ADAPTER if (folder / "adapter_config.json").exists() else WHOLE)
    if single.exists():
        return [single]
    files = sorted(folder.glob("*.safetensors"))
    if (index := folder / INDEX).exists():
        try:
            files = [folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{index} cannot be read ({error!r}): fetch the model again") from None
    if not files:
        raise FileNotFoundError(
            f"no safetensors weights in {folder}: not a checkpoint folder (pickled weights are not read)"
        )
    return files


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def hash_weights(folder: Path) -> str:
    """SHA-256 over the tensors of a checkpoint folder, by name."""
    from safetensors import safe_open

    location: dict[str, Path] = {}
    for file in weight_files(folder):
        with safe_open(file, "pt") as tensors:
            location.update(dict.fromkeys(tensors.keys(), file))
    digest = hashlib.sha256()
    for name in sorted(location):
        with safe_open(location[name], "pt") as tensors:
            tensor = tensors.get_tensor(name).contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(_raw_bytes(tensor))
    return digest.hexdigest()


def _raw_bytes(tensor: "torch.Tensor") -> bytes:
    import torch

    # numpy has no bfloat16: read the memory as bytes, whatever the type.
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def hash_base(folder: Path) -> str:
    """Content hash of a base model: weights, architecture, end tokens, tokenizer and chat template.

    Left out of its configuration is what does not change a computation: its own name and the library that wrote it.
    """
    digest = hashlib.sha256(hash_weights(folder).encode())
    for name in TOKENIZER_FILES:
        file = folder / name
        digest.update(f"{name}:{file_sha256(file) if file.exists() else 'absent'};".encode())
    for file in _more_tokenizer_files(folder):
        digest.update(f"{file.relative_to(folder)}:{file_sha256(file)};".encode())
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        for neutral in ("_name_or_path", "transformers_version"):
            (content or {}).pop(neutral, None)
        digest.update(f"{name}:{json.dumps(content, sort_keys=True)};".encode())
    if taken_before(folder):
        digest.update(b"decoding:end tokens;")  # blocks and scores of before were drawn otherwise
    return digest.hexdigest()


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
NOT_OF_TOKENIZERS = (*TOKENIZER_FILES, "config.json", "generation_config.json", "adapter_config.json", INDEX)


def _more_tokenizer_files(folder: Path) -> list[Path]:
    """Files beside `TOKENIZER_FILES` that decide what a tokenizer does, in order.

    A tokenizer.json holds vocabulary and merges. Without one they stand in files that each class of tokenizers names
    otherwise (vocab.json, merges.txt, tokenizer.model, tekken.json, ...), so all that could be such a file counts.
    """
    configuration = _read_json(folder / "tokenizer_config.json")
    names = list(configuration.get("fast_tokenizer_files", []))  # one of them is read, by the version of transformers
    if "added_tokens_decoder" not in configuration:
        names.append("added_tokens.json")
    found = {folder / name for name in names if (folder / name).exists()}
    found.update((folder / "additional_chat_templates").glob("*.jinja"))
    if not (folder / TOKENIZER_FILES[0]).exists():
        for pattern in ("*.json", "*.txt", "*.model*", "*.codes", "*.tokenizer"):
            found.update(file for file in folder.glob(pattern) if file.name not in NOT_OF_TOKENIZERS)
    return sorted(found)


@dataclass(frozen=True)
class CarriedState:
    """Optimizer and scheduler of a stage between two of its blocks: `torch` state dictionaries."""

    optimizer: dict[str, Any]
    scheduler: dict[str, Any]


TENSORS, SCALARS = "optimizer.safetensors", "optimizer.json"


def save_carried(state: CarriedState, folder: Path) -> None:
    """Write optimizer and scheduler state as one safetensors and one JSON file."""
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for index, values in state.optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                scalars.setdefault(str(index), {})[name] = value
    save_file(tensors, folder / TENSORS)
    document = {"param_groups": state.optimizer["param_groups"], "scalars": scalars, "scheduler": state.scheduler}
    (folder / SCALARS).write_text(json.dumps(document))


def load_carried(folder: Path) -> CarriedState:
    """Read what `save_carried` wrote; FileNotFoundError when the block keeps no optimizer state.

    CheckpointError when it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        document = json.loads((folder / SCALARS).read_text(encoding="utf-8"))
        state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in document["scalars"].items()}
        for name, tensor in load_file(folder / TENSORS).items():
            index, field = name.split(".", 1)
            state.setdefault(int(index), {})[field] = tensor
        return CarriedState({"state": state, "param_groups": document["param_groups"]}, document["scheduler"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise CheckpointError(
            f"the optimizer state {folder / SCALARS} or {TENSORS} is damaged ({error!r}): remove both to train "
            "the stage again"
        ) from None


def refuse_own_code(folder: Path) -> None:
    """CheckpointError for a model that only its own code can open."""
    from transformers import CONFIG_MAPPING

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        needed = "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return  # opening it says what is wrong
    if needed:
        raise CheckpointError(
            f"the model in {folder} needs its own code (auto_map in its config.json), which is not run: choose a "
            "model that transformers knows, or read the code, set trust_remote_code: true for it in the scenario, and "
            "give --trust-remote-code"
        )


def load_model(
    folder: Path, dtype: str, device: str, base: Path | None = None, trainable: bool = True, trust: bool = False
) -> Any:
    """Open a checkpoint: a full model, or the adapter in `folder` on top of `base`.

    Of its generation configuration it keeps the end and padding tokens: transformers and TRL would draw with the rest,
    and could not save some of it.

    Args:
        folder: the checkpoint.
        dtype: "float32" or "bfloat16".
        device: torch device to move it to.
        base: for an adapter checkpoint, the base model's folder.
        trainable: an adapter that is not trained further is merged into its base.
        trust: whether code that the model brings along may run.

    Raises:
        CheckpointError: for a model that needs its own code and is not trusted.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if not trust:
        refuse_own_code(base or folder)
    kwargs: dict[str, Any] = {
        "dtype": getattr(torch, dtype), "use_safetensors": True, "local_files_only": True, "trust_remote_code": trust
    }  # fmt: skip
    if not (folder / "adapter_config.json").exists():
        return _with_ends_only(AutoModelForCausalLM.from_pretrained(folder, **kwargs)).to(device)
    from peft import PeftModel

    if base is None:
        raise ValueError(f"{folder} holds an adapter: give its base model")
    model = _with_ends_only(AutoModelForCausalLM.from_pretrained(base, **kwargs))
    adapted = PeftModel.from_pretrained(model, folder, is_trainable=trainable, local_files_only=True, **pinned.ADAPTER)
    return (adapted if trainable else adapted.merge_and_unload()).to(device)


def _with_ends_only(model: Any) -> Any:
    from transformers import GenerationConfig

    own = model.generation_config
    padding = own.pad_token_id if isinstance(own.pad_token_id, int) and own.pad_token_id >= 0 else None
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id, pad_token_id=padding)
    return model


def load_tokenizer(folder: Path) -> Any:
    """Open a checkpoint's tokenizer, padding on the left as generation needs."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, padding_side="left", trust_remote_code=False
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def end_tokens(folder: Path) -> list[int]:
    """The end tokens that a checkpoint's folder names, besides the tokenizer's.

    They stand in generation_config.json, or without that file in config.json, as transformers and vLLM read them.
    ValueError for what is no number of a token.
    """
    files = [file for name in ("generation_config.json", "config.json") if (file := folder / name).exists()]
    content = json.loads(files[0].read_text(encoding="utf-8")) if files else {}
    if not isinstance(content, dict):
        raise ValueError(f"{files[0].name} holds no fields")
    ends = content.get("eos_token_id", content.get("text_config", {}).get("eos_token_id"))
    ids = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if wrong := [token for token in ids if type(token) is not int or token < 0]:
        raise ValueError(f"eos_token_id {wrong[0]!r} of {files[0].name} is no token's number")
    return ids


def vocabulary_size(folder: Path) -> int:
    """Rows of a model's output: its tokens, and those that it is padded with."""
    content = _read_json(folder / "config.json")
    return int(content.get("text_config", content)["vocab_size"])


def first_differing_token(ours: Any, theirs: Any) -> tuple[int, str | None, str | None] | None:
    """Index and texts of the first token in which two tokenizers differ; None where they have the same."""
    one, other = ({index: token for token, index in tokenizer.get_vocab().items()} for tokenizer in (ours, theirs))
    index = next((i for i in sorted({*one, *other}) if one.get(i) != other.get(i)), None)
    return None if index is None else (index, one.get(index), other.get(index))
