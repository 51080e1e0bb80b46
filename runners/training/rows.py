"""The rows that a block trains on: its problems, teacher rollouts, correct samples, in their order.

Samples that are drawn for them (teacher rollouts, rejection sampling, pass rates) are cached artefacts; their device
time is charged to the block, and they spend no label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tuition.benchmarks.grading.grader import Grader, Verdict
from tuition.benchmarks.scoring.sampling import Decoding, encode_prompts, render_prompt
from tuition.planner.route import Block, derive_seed
from tuition.planner.stages import STAGE
from tuition.runners.drawing import Drawn
from tuition.runners.draws import count_draws, count_labels, drawn, labels_drawn, new_first
from tuition.runners.labels import LabelPool
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import PassRate, RejectionSettings, RLSettings, TransferSettings
from tuition.runners.store.block_record import Draws, RolloutsUsed
from tuition.runners.store.rollouts import Rollouts
from tuition.runners.training.checkpoint import load_tokenizer, vocabulary_size

Generate = Callable[[str, list[list[int]], Decoding, int], Drawn]


class BlockError(RuntimeError):
    """A block that could not be trained, or must not be used; one line with the reason and the fix."""


@dataclass(frozen=True)
class SampleCounts:
    """What a block's record says of its rows and of the samples that were drawn for them; see `BlockRecord`."""

    draws: Draws | None = None
    rollouts: RolloutsUsed | None = None
    rollouts_made: bool = False
    labels_filtered: int | None = None
    samples_drawn: int | None = None
    samples_kept: int | None = None
    elsewhere: float = 0.0
    """Processor seconds that other processes have spent on drawing; in no record by themselves."""

    @property
    def rollout_gpu_seconds(self) -> float:
        """What generating the block's rollouts cost; 0 where they were there already."""
        return self.rollouts.gpu_seconds if self.rollouts is not None and self.rollouts_made else 0.0


Rows = tuple[list[dict[str, Any]], SampleCounts]


def within_vocabulary(completion: list[int], size: int, end: int) -> list[int]:
    """A completion up to its first id of `size` or more, which a larger, padded model may draw; `end` for nothing."""
    if max(completion, default=0) < size:
        return completion
    return completion[: next(place for place, token in enumerate(completion) if token >= size)] or [end]


class RowMaker:
    """Makes the rows of a scenario's blocks.

    Args:
        scenario: whose settings and prompts they follow.
        pool: of labelled problems.
        grader: decides what is correct.
        rollouts: the cache of drawn samples.
        generate: one completion of a checkpoint (by reference) for each prompt.
        weights_sha256: hash of a checkpoint's weights, by reference.
        ends: a checkpoint's end tokens, by reference.
    """

    def __init__(
        self,
        scenario: Scenario,
        pool: LabelPool,
        grader: Grader,
        rollouts: Rollouts,
        generate: Generate,
        weights_sha256: Callable[[str], str],
        ends: Callable[[str], list[int]],
    ):
        self.scenario, self.pool, self.grader = scenario, pool, grader
        self.rollouts, self.generate, self.weights_sha256, self.ends = rollouts, generate, weights_sha256, ends

    def make(self, block: Block, answers: Mapping[str, str]) -> Rows:
        """The rows of a block. BlockError where there is nothing to train on."""
        settings = self.scenario.file.stages.of_block(block)
        if isinstance(settings, RLSettings):
            return self._labelled(block, settings, answers)
        if isinstance(settings, RejectionSettings):
            return self._correct_samples(block, settings, answers)
        return self._prompted(block, settings)

    def _labelled(self, block: Block, settings: RLSettings, answers: Mapping[str, str]) -> Rows:
        """Problems with their answers: those bought so far, or those of them that the stage's filter keeps."""
        ids, samples = list(block.pool), SampleCounts()
        if settings.filter is not None:
            ids, samples = self._within_pass_rates(block, settings.filter, settings, answers)
        ids = labels_drawn(block, settings, ids)
        samples = replace(samples, draws=count_labels(block.pool, ids, self.scenario.file.labels_per_block))
        texts = self._render(self.pool.problems(ids))
        return [{"prompt": text, "answer": answers[i]} for text, i in zip(texts, ids, strict=True)], samples

    def _prompted(self, block: Block, settings: TransferSettings) -> Rows:
        """Prompts, and the teacher's completions unless the student writes its own while it trains."""
        pool = self.pool.problems(block.pool) if block.pool else sorted(p.problem for p in self.scenario.prompts)
        indices = drawn(block, len(pool), settings.steps * settings.prompts_per_step)
        draws = count_draws(indices, len(pool), len(pool))
        prompts = self._render([pool[index] for index in indices])
        prompts = [prompt for prompt in prompts for _ in range(settings.completions)]
        if STAGE[block.stage].generates:
            return [{"prompt": prompt} for prompt in prompts], SampleCounts(draws)
        prompt_ids = self._encode(block, prompts)
        completions, samples = self._sample(
            block, str(block.teacher), prompt_ids, settings.max_completion_tokens, "rollouts"
        )
        student = self.scenario.base_folder(block.model)
        size, end = vocabulary_size(student), load_tokenizer(student).eos_token_id
        rows = [
            {"prompt": prompt, "prompt_ids": ids, "completion_ids": within_vocabulary(completion, size, end)}
            for prompt, ids, completion in zip(prompts, prompt_ids, completions, strict=True)
        ]
        return rows, replace(samples, draws=draws)

    def _render(self, problems: Sequence[str]) -> list[Any]:
        return [render_prompt(problem, self.scenario.decoding) for problem in problems]

    def _encode(self, block: Block, prompts: list[Any]) -> list[list[int]]:
        tokenizer = load_tokenizer(self.scenario.base_folder(block.model))
        return encode_prompts(tokenizer, prompts, self.scenario.file.template)

    def _sample(
        self, block: Block, reference: str, prompt_ids: list[list[int]], max_new_tokens: int, purpose: str
    ) -> tuple[list[list[int]], SampleCounts]:
        """Completions of a checkpoint, drawn now or before."""
        completions, drawn, rollouts = self.rollouts.get_or_make(
            checkpoint=reference,
            weights_sha256=self.weights_sha256(reference),
            generate=partial(self.generate, reference),
            prompt_ids=prompt_ids,
            max_new_tokens=max_new_tokens,
            seed=derive_seed(block.run_seed, purpose, block.index, reference),
            ends=self.ends(reference),
        )
        elsewhere = drawn.elsewhere if drawn is not None else 0.0
        return completions, SampleCounts(rollouts=rollouts, rollouts_made=drawn is not None, elsewhere=elsewhere)

    def _graded(
        self,
        block: Block,
        ids: list[str],
        reference: str,
        max_new_tokens: int,
        answers: Mapping[str, str],
        purpose: str,
    ) -> tuple[list[list[int]], list[list[int]], list[bool], SampleCounts]:
        """Prompts, completions and whether each is correct, of a checkpoint on labelled problems."""
        prompt_ids = self._encode(block, self._render(self.pool.problems(ids)))
        completions, samples = self._sample(block, reference, prompt_ids, max_new_tokens, purpose)
        tokenizer = load_tokenizer(self.scenario.base_folder(block.model))
        texts = tokenizer.batch_decode(completions, skip_special_tokens=True)
        grades = self.grader.grade_many([answers[i] for i in ids], texts)
        return prompt_ids, completions, [grade.verdict is Verdict.correct for grade in grades], samples

    def _within_pass_rates(
        self, block: Block, rates: PassRate, settings: RLSettings, answers: Mapping[str, str]
    ) -> tuple[list[str], SampleCounts]:
        """The problems of a block's pool that its model solves neither too seldom nor too often when the block begins.

        Those nearest to the range are added while they would not fill a rollout batch.
        """
        ids = [i for i in block.pool for _ in range(rates.samples)]
        *_, correct, samples = self._graded(
            block, ids, block.parent, settings.max_completion_tokens, answers, "pass rates"
        )
        counts = [sum(correct[at : at + rates.samples]) for at in range(0, len(correct), rates.samples)]
        outside = {i: rates.distance(count / rates.samples) for i, count in zip(block.pool, counts, strict=True)}
        within = sum(distance == 0 for distance in outside.values())
        # Stable: those equally far keep the pool's order.
        ordered = sorted(outside, key=outside.__getitem__)
        kept = set(ordered[: max(within, min(settings.prompts_needed, len(ordered)))])
        samples = replace(samples, labels_filtered=len(outside) - len(kept), samples_drawn=len(ids))
        return [i for i in block.pool if i in kept], samples

    def _correct_samples(self, block: Block, settings: RejectionSettings, answers: Mapping[str, str]) -> Rows:
        """Rejection sampling: what the teacher at the start of the stage gets right on the labels bought so far."""
        ids = [i for i in block.pool for _ in range(settings.samples_per_problem)]
        prompt_ids, completions, correct, samples = self._graded(
            block, ids, block.stage_start, settings.max_completion_tokens, answers, "rejection"
        )
        kept = [
            (i, {"prompt_ids": prompt, "completion_ids": completion})
            for i, prompt, completion, right in zip(ids, prompt_ids, completions, correct, strict=True)
            if right
        ]
        if not kept:
            raise BlockError(
                f"none of the teacher's {len(ids)} samples was correct, so there is nothing to fine-tune on: raise "
                f"stages.{block.stage}.samples_per_problem or use teacher_rl"
            )
        entering = set(block.entering)
        of_new = [index for index, (i, _) in enumerate(kept) if i in entering]
        first, count = (steps * settings.sequences for steps in (settings.steps_on_new_labels, settings.steps))
        chosen = [kept[index] for index in new_first(range(len(kept)), of_new, first, count, block.seed)]
        draws = count_labels(block.pool, [i for i, _ in chosen], self.scenario.file.labels_per_block)
        samples = replace(samples, draws=draws, samples_drawn=len(ids), samples_kept=len(kept))
        return [row for _, row in chosen], samples
