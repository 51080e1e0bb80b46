"""The loss against a teacher behind a server: over all completion tokens of a step, and never all logits at once.

TRL's ServerDistillationTrainer averages each forward pass by itself, so that a token in a short completion weighs more
than one in a long, and holds the logits of all positions. Here the sum over tokens is divided by the step's number of
them, as TRL does where the teacher is in the trainer's process, and the output matrix is applied to CHUNK_TOKENS
positions at a time, again in the backward pass. The divergence itself is TRL's (`teacher_server.DIVERGENCES`).

Simplified: a model whose logits are scaled or capped after the output matrix is refused (`model_checks`).
"""

from typing import Any

CHUNK_TOKENS = 1024  # our choice: 0.6 GB of float32 logits for a vocabulary of 152,000
AFTER_THE_HEAD = ("logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling", "final_logit_softcapping")
"""What a model's configuration may do to its logits that `log_probabilities` does not."""


def over_step_tokens(trainer: Any) -> Any:
    """A ServerDistillationTrainer of TRL with this loss."""

    class OverStepTokens(trainer):  # type: ignore[misc]  # a class of TRL, untyped
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            # Gradients are averaged over the processes, so each divides by its share.
            tokens = inputs["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes
            student = self.accelerator.unwrap_model(model)
            return self._forward_redirection(model, student, self._loss_of_tokens, student, inputs, tokens)

        def _loss_of_tokens(self, student: Any, inputs: dict[str, Any], tokens: Any) -> Any:
            import torch

            mask, completion = inputs["completion_mask"].bool(), inputs["completion_ids"]
            whole = {
                "input_ids": torch.cat([inputs["prompt_ids"], completion], dim=1),
                "attention_mask": torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            }
            hidden = self._get_last_hidden_state(student, *whole.values(), completion.size(1))
            labels = torch.cat([torch.full_like(inputs["prompt_ids"], -100), completion.masked_fill(~mask, -100)], 1)
            asked = {**whole, "labels": labels, "prompt_attention_mask": inputs["prompt_mask"]}
            served = self._get_teacher_token_logprobs_from_server(asked, inputs["prompt_ids"].size(1))
            compared, teacher = _compared(self.beta, served, completion, mask)
            ours = log_probabilities(hidden[mask], student.get_output_embeddings(), compared, self.temperature)
            return divergence(ours, teacher, self.beta) / tokens

    return OverStepTokens


def _compared(beta: float, served: dict[str, Any], completion: Any, mask: Any) -> tuple[Any, Any]:
    """Ids of the tokens that are compared at each position of the mask, and the teacher's scores of them (both N×S)."""
    import torch

    width = served["actual_logprobs"].size(1)
    if bool(mask[:, width:].any()):
        raise ValueError("the teacher's server has left out positions of a completion")
    within = mask[:, :width]
    if beta == 1:
        ids, scores = completion[:, :width][within].unsqueeze(-1), served["actual_logprobs"][within].unsqueeze(-1)
    else:
        ids, scores = served["topk_token_ids"][within], served["topk_logprobs"][within]
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("the teacher's server has left out log-probabilities that the loss needs")
    return ids, scores


def divergence(ours: Any, teacher: Any, beta: float) -> Any:
    """The sum over positions of TRL's divergence between the compared tokens, the rest of the mass being one more."""
    import torch
    from trl.experimental.server_distillation import server_distillation_trainer

    trl: Any = server_distillation_trainer  # untyped
    every = torch.ones_like(teacher, dtype=torch.bool)
    (student, support), (target, _) = trl._add_tail_bucket(ours, every), trl._add_tail_bucket(teacher, every)
    return trl._jsd_divergence(student, target, beta, support).sum()


def log_probabilities(hidden: Any, head: Any, compared: Any, temperature: float) -> Any:
    """Log-probabilities of some tokens at each position.

    Args:
        hidden: last hidden states (N × width).
        head: the output matrix, as a module; of a sharded model it is gathered.
        compared: token ids (N × S).
        temperature: the logits are divided by it.
    Returns:
        float32 (N × S).
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    weight, bias = (_whole(tensor, hidden.dtype) for tensor in (head.weight, head.bias))

    def of_some(hidden: Any, compared: Any) -> Any:
        logits = torch.nn.functional.linear(hidden, weight, bias).float() / temperature
        return logits.gather(-1, compared) - logits.logsumexp(-1, keepdim=True)

    pieces = zip(hidden.split(CHUNK_TOKENS), compared.split(CHUNK_TOKENS), strict=True)
    return torch.cat([checkpoint(of_some, *piece, use_reentrant=False) for piece in pieces])


def _whole(tensor: Any, dtype: Any) -> Any:
    """The tensor; a sharded one gathered once, in the type that is computed in."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor().to(dtype) if isinstance(tensor, DTensor) else tensor
