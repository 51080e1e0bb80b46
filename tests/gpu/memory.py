"""Predicted peak memory of a stage: what a block keeps on the device, from the model's shape and the settings.

Covers full training in mixed precision as the blocks do it: float32 weights, gradients and Adam moments, bfloat16
copies that autocast makes, the KL reference in float32, a teacher in bfloat16, what autograd keeps of the forward pass
of a Qwen3 model, and the buffers in which TRL's fused losses hold a part of the logits at a time (never all of them).

Simplified: the largest of four moments, each with one layer's worth of temporaries; no fragmentation, no attention
matrices (a fused kernel makes none), no gradient checkpointing.
"""

from dataclasses import dataclass
from typing import Any

# Of TRL's fused losses: tokens and vocabulary entries of a tile. The buffers have the full width for any vocabulary.
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
# PyTorch's allocator counts cuBLAS's workspace, 32 MiB on Hopper.
WORKSPACE = 32 * 2**20


@dataclass(frozen=True)
class Shape:
    """What memory depends on in a Qwen3 model with tied embeddings."""

    layers: int
    width: int
    mlp: int
    query: int
    """Width of all query heads."""
    key: int
    """Width of all key heads, and of all value heads."""
    vocabulary: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """From a transformers configuration."""
        return cls(
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            mlp=config.intermediate_size,
            query=config.num_attention_heads * config.head_dim,
            key=config.num_key_value_heads * config.head_dim,
            vocabulary=config.vocab_size,
        )

    @property
    def linear(self) -> int:
        """Parameters of the layers' matrices."""
        return self.layers * self.width * (2 * self.query + 2 * self.key + 3 * self.mlp)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, which is the output matrix too."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All parameters but the norms'."""
        return self.linear + self.embedding

    @property
    def kept_by_layer(self) -> int:
        """Bytes that autograd keeps of one token in one layer, under autocast to bfloat16.

        Of the residual stream's width: two norms keep their float32 input and their float32 normed input, and five
        linear maps each their own bfloat16 input. Queries and keys: the float32 input of their norm, bfloat16 normed,
        bfloat16 rotated; values and the attention's output once; the MLP its halves, the activation and the product.
        """
        norms, inputs = 2 * (4 + 4), 5 * 2
        return (norms + inputs) * self.width + (4 + 2 + 2 + 2) * self.query + (4 + 2 + 2 + 2) * self.key + 8 * self.mlp


@dataclass(frozen=True)
class Prediction:
    """Bytes at the moment of the peak, by what they are for."""

    moment: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.parts.values())


def predict(
    stage: str, trained: Shape, teacher: Shape | None, kl: bool, sequences: int, prompt: int, completion: int
) -> Prediction:
    """Peak bytes of a block from its second step on.

    Args:
        stage: name of the stage.
        trained: the model that is trained.
        teacher: the frozen teacher of warmup and opd.
        kl: whether GRPO keeps a reference model.
        sequences: of a forward pass (micro-batch).
        prompt: tokens of the longest prompt.
        completion: tokens of the longest completion.
    """
    distils = stage in ("warmup", "opd")
    tokens, scored = sequences * (prompt + completion), sequences * completion
    tile = min(scored, TILE_TOKENS) * TILE_VOCABULARY
    always = {
        "weights": 4 * trained.parameters,
        "optimizer": 8 * trained.parameters,
        "workspace": WORKSPACE,
    }
    if kl:
        always["reference"] = 4 * trained.parameters
    if distils and teacher is not None:
        always["teacher"] = 2 * teacher.parameters
    kept = {
        "bfloat16 copies": 2 * trained.linear,
        # The last norm keeps its input twice, and the loss the hidden states and their gradient.
        "activations": tokens * (trained.layers * trained.kept_by_layer + 16 * trained.width),
    }
    head = {
        "logits": (2 * 4 if distils else 2) * tile,
        "head's gradient": 4 * trained.embedding + 8 * scored * trained.width,
    }
    moments = {
        "start of the backward pass": kept | head,
        "backward pass through the last layer": kept
        | {"head's gradient": 4 * trained.embedding, "temporaries": tokens * trained.kept_by_layer},
        "optimizer step": {"gradients": 4 * trained.parameters},
        "rollout": {
            "bfloat16 copies": 2 * max(trained.linear // max(trained.layers, 1), trained.embedding),
            # Keys leave their norm in float32, values are bfloat16.
            "cache": sequences * (prompt + completion) * trained.layers * (4 + 2) * trained.key,
            # Logits, scaled, and probabilities.
            "logits": 3 * 4 * sequences * trained.vocabulary,
        },
    }
    return max(
        (Prediction(moment, always | parts) for moment, parts in moments.items()),
        key=lambda prediction: prediction.total,
    )
