"""What happens while TRL's trainers train: optimizer state is carried on, draws are seeded, steps are recorded."""

import logging
import time
from typing import Any

from transformers import TrainerCallback, set_seed

from tuition.runners.events import Listener, StepDone
from tuition.runners.training.checkpoint import CarriedState
from tuition.runners.training.sharding import shard_optimizer
from tuition.runners.training.stages.rollout_ratio import RATIO_CURVES

logger = logging.getLogger(__name__)

# What TRL calls a curve, and what the tables call it. A curve that a stage does not have stays empty. What belongs to
# rollouts (reward, lengths, ratios) is there in the steps that draw some: one in `updates_per_rollout`.
CURVES = {
    "loss": "loss",
    "reward": "reward",
    "frac_reward_zero_std": "zero_variance_share",
    "entropy": "entropy",
    "kl": "kl",
    "clip_ratio/region_mean": "clipped_share",
    "completions/mean_length": "mean_tokens",
    "completions/clipped_ratio": "truncated_share",
    "num_tokens": "tokens_seen",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    **{name: name for name in RATIO_CURVES},
}


class CarryState(TrainerCallback):
    """Load optimizer and scheduler state when training begins, after the trainer has made its own."""

    def __init__(self, carried: CarriedState | None):
        self.carried = carried

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over what the parent block left."""
        if self.carried is not None:
            optimizer = kwargs["optimizer"]
            optimizer.load_state_dict(shard_optimizer(self.carried.optimizer, optimizer.param_groups))
            kwargs["lr_scheduler"].load_state_dict(self.carried.scheduler)


class SeedRollouts(TrainerCallback):
    """Seed vLLM's draws with the block's seed: it draws from the process's stream, which its start has reset.

    Processes that draw apart have streams apart: in one stream those that share a prompt's group would draw the same
    completions. The `ranks_per_engine` processes of one vLLM share a stream, because each computes all of its draws.
    """

    def __init__(self, ranks_per_engine: int = 1):
        self.ranks_per_engine = ranks_per_engine

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the block's stream."""
        set_seed(args.seed + args.process_index // self.ranks_per_engine)


class RecordCurves(TrainerCallback):
    """Collect one row of curves per optimizer step of a block, and tell each."""

    def __init__(self, key: str, steps: int, hear: Listener):
        self.key = key
        self.steps = steps
        self.hear = hear
        self.rows: list[dict[str, Any]] = []
        self._began = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the step's clock."""
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Keep the step's curves."""
        if not logs or "loss" not in logs:
            return  # the summary that the trainer logs at its end
        row = {"step": state.global_step, "seconds": time.perf_counter() - self._began}
        row |= {ours: logs.get(theirs) for theirs, ours in CURVES.items()}
        self.rows.append(row)
        logger.info("step %d/%d %s", state.global_step, self.steps, {k: v for k, v in row.items() if v is not None})
        curves = {name: float(value) for name, value in row.items() if name != "step" and value is not None}
        self.hear(StepDone(key=self.key, step=state.global_step, steps=self.steps, curves=curves))
