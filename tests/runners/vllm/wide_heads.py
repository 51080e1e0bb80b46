"""The models of `micro` with heads of 32 dimensions, which vLLM on a CPU needs; they compute the same.

New dimensions are zero. Rotary frequencies are kept by another base, and the two norms' and the attention's division by
the root of the head's size is made up for in the norms' weights.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HEAD_DIM = 32


def widen_heads(folder: Path, out: Path) -> Path:
    """Write the checkpoint in `folder` to `out`, with wider heads."""
    shutil.copytree(folder, out)
    config = json.loads((folder / "config.json").read_text())
    size, heads = config["head_dim"], config["num_attention_heads"]
    rope = config["rope_parameters"]
    rope["rope_theta"] = rope["rope_theta"] ** (HEAD_DIM / size)
    (out / "config.json").write_text(json.dumps(config | {"head_dim": HEAD_DIM}))
    # The rotation turns dimension i with dimension i + half, in the narrow head and in the wide one.
    half = torch.arange(size // 2)
    kept = torch.cat([half, half + HEAD_DIM // 2])
    wide = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            padded = torch.zeros(heads, HEAD_DIM, tensor.shape[1])
            padded[:, kept] = tensor.reshape(heads, size, -1)
            tensor = padded.reshape(heads * HEAD_DIM, -1)
        elif name.endswith("o_proj.weight"):
            padded = torch.zeros(tensor.shape[0], heads, HEAD_DIM)
            padded[:, :, kept] = tensor.reshape(-1, heads, size)
            tensor = padded.reshape(tensor.shape[0], heads * HEAD_DIM)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            padded = torch.ones(HEAD_DIM)
            padded[kept] = tensor if "q_norm" in name else tensor * (size / HEAD_DIM) ** 0.5
            tensor = padded
        wide[name] = tensor.contiguous()
    save_file(wide, out / "model.safetensors", {"format": "pt"})
    return out
