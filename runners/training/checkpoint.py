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
from tuition.runners.training import pinned

if TYPE_CHECKING:
    import torch


class CheckpointError(RuntimeError):
    """Files of a checkpoint that cannot be read; one line with the path and the fix."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, in order; FileNotFoundError when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(
            f"no safetensors weights in {folder}: not a checkpoint folder (pickled weights are not read)"
        )
    return files


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
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        file = folder / name
        digest.update(f"{name}:{file_sha256(file) if file.exists() else 'absent'};".encode())
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        for neutral in ("_name_or_path", "transformers_version"):
            (content or {}).pop(neutral, None)
        digest.update(f"{name}:{json.dumps(content, sort_keys=True)};".encode())
    return digest.hexdigest()


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
        full: Any = AutoModelForCausalLM.from_pretrained(folder, **kwargs)
        return full.to(device)
    from peft import PeftModel

    if base is None:
        raise ValueError(f"{folder} holds an adapter: give its base model")
    model = AutoModelForCausalLM.from_pretrained(base, **kwargs)
    adapted = PeftModel.from_pretrained(model, folder, is_trainable=trainable, local_files_only=True, **pinned.ADAPTER)
    return (adapted if trainable else adapted.merge_and_unload()).to(device)


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
    """The end tokens that a checkpoint's folder names, besides the tokenizer's."""
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").exists():
        return []
    ends: Any = GenerationConfig.from_pretrained(folder).eos_token_id
    return ends if isinstance(ends, list) else [ends] if isinstance(ends, int) else []


def first_differing_token(ours: Any, theirs: Any) -> tuple[int, str | None, str | None] | None:
    """Index and texts of the first token in which two tokenizers differ; None where they have the same."""
    one, other = ({index: token for token, index in tokenizer.get_vocab().items()} for tokenizer in (ours, theirs))
    index = next((i for i in sorted({*one, *other}) if one.get(i) != other.get(i)), None)
    return None if index is None else (index, one.get(index), other.get(index))
