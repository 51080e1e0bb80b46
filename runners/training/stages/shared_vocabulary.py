"""Student and teacher with one tokenizer whose outputs are padded to other numbers of rows, such as Qwen2.5's.

Both distributions are taken over the rows that both have: the softmax of each leaves the rest out, and the rest of the
student's rows gets no gradient. No completion holds an id that the other model lacks: the student draws none while it
trains, and the teacher's rollouts were cut before. With equal sizes nothing of this is used.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def shared_rows(student: Any, teacher: Any) -> int | None:
    """Rows of output that both models have; None where they have the same number."""
    sizes = {model.config.get_text_config().vocab_size for model in (student, teacher)}
    return min(sizes) if len(sizes) == 2 else None


def over_shared_rows(trainer: Any, rows: int) -> Any:
    """A distillation trainer of TRL whose divergence is over the first `rows` rows of both outputs."""

    class SharedVocabulary(trainer):  # type: ignore[misc]  # a class of TRL, untyped
        def __init__(self, *args: Any, model: Any, teacher_model: Any, **kwargs: Any) -> None:
            # TRL compares what the two configurations say, and refuses.
            ours, theirs = model.config.get_text_config(), teacher_model.config.get_text_config()
            with _replaced(theirs, "vocab_size", ours.vocab_size):
                super().__init__(*args, model=model, teacher_model=teacher_model, **kwargs)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            from trl.trainer import distillation_trainer

            original = distillation_trainer._chunked_divergence_loss

            def over_rows(
                student: Any, teacher: Any, student_head: Any, teacher_head: Any, *more: Any, **named: Any
            ) -> Any:
                biases = {name: _first(named[name], rows) for name in BIASES}
                heads = (
                    _first(head, rows, hidden.dtype)
                    for head, hidden in ((student_head, student), (teacher_head, teacher))
                )
                return original(student, teacher, *heads, *more, **{**named, **biases})

            with _replaced(distillation_trainer, "_chunked_divergence_loss", over_rows):
                return super().compute_loss(*args, **kwargs)

    return SharedVocabulary


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


BIASES = ("student_lm_head_bias", "teacher_lm_head_bias")


def _first(tensor: Any, rows: int, dtype: Any = None) -> Any:
    """The first rows; of a sharded tensor those of the whole, which TRL would gather, in the type that it gives it."""
    import torch

    if isinstance(tensor, torch.distributed.tensor.DTensor):
        tensor = tensor.full_tensor() if dtype is None else tensor.full_tensor().to(dtype)
    return None if tensor is None else tensor[:rows]


def without_padding(rows: int, student_rows: int, by_vllm: bool) -> Mapping[str, Any]:
    """Generation arguments under which a student with more rows draws none that its teacher lacks."""
    more = range(rows, student_rows)
    if not more:
        return {}
    # vLLM has no list of tokens to suppress; its bias of -100 leaves a probability of e^-100.
    return {"logit_bias": dict.fromkeys(more, -100.0)} if by_vllm else {"suppress_tokens": list(more)}
