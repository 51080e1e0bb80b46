"""The ratio by which GRPO corrects for vLLM's rollouts: the probability of what was drawn, in training over vLLM.

TRL weighs the loss with it, within the scenario's `rollout_correction`, and reports it after it was cut. The curves
here are of before: mean, three percentiles, and the share that is cut (truncated) or dropped (masked).
"""

from typing import Any

import numpy as np

from tuition.runners.scenarios.settings import RolloutCorrection

PERCENTILES = {"ratio_p05": 5, "ratio_p50": 50, "ratio_p95": 95}
RATIO_CURVES = ("ratio_mean", *PERCENTILES, "ratio_outside")


def ratios(trained: Any, drawn: Any, mask: Any, of_sequences: bool) -> Any:
    """Ratios of the tokens where the mask is 1, shape (tokens,), or of sequences, shape (sequences,).

    Args:
        trained, drawn: log-probabilities (sequences, tokens); NaN, which vLLM gives at times, is a ratio of 1.
        mask: 1 for the tokens of completions.
        of_sequences: the product over a sequence's tokens.
    """
    difference = ((trained - drawn) * mask).nan_to_num(nan=0.0)
    return difference.sum(-1).exp() if of_sequences else difference[mask.bool()].exp()


def ratio_curves(values: Any, correction: RolloutCorrection) -> dict[str, float]:
    """The curves of one batch of ratios (an array); {} where there are none."""
    found = np.asarray(values, dtype=np.float64)
    if not found.size:
        return {}
    least = -np.inf if correction.clip_min is None else correction.clip_min
    most = np.inf if correction.clip_max is None else correction.clip_max
    outside = (found < least) | (found > most) if correction.mode != "off" else np.zeros(found.shape)
    # The product over a long completion may overflow, and nothing lies between a number and infinity.
    percentiles = {name: float(np.percentile(found, at, method="inverted_cdf")) for name, at in PERCENTILES.items()}
    return {"ratio_mean": float(found.mean()), **percentiles, "ratio_outside": float(outside.mean())}


def with_ratio_curves(trainer: Any, correction: RolloutCorrection) -> Any:
    """A GRPO trainer of TRL that logs the curves of its ratios."""

    class Measured(trainer):  # type: ignore[misc]  # untyped
        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
            if {"old_per_token_logps", "sampling_per_token_logps"} <= scored.keys():
                found = ratios(
                    scored["old_per_token_logps"],
                    scored["sampling_per_token_logps"],
                    scored["completion_mask"],
                    correction.mode.startswith("sequence"),
                ).float()
                # Each process has another number of tokens.
                padded = self.accelerator.pad_across_processes(found, pad_index=float("nan"))
                everyone = self.accelerator.gather(padded).cpu().numpy()
                for name, value in ratio_curves(everyone[~np.isnan(everyone)], correction).items():
                    self._metrics["train"][name].append(value)
            return scored

    return Measured
