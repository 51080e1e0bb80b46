"""A block: from its key to a finished folder in the store.

Loads the parent checkpoint and, inside a stage, its optimizer state; draws the block's rows; lets the stage train;
publishes the folder. What was computed, from what, by which versions and at what cost stands in `record.json`.
"""

import gc
import logging
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.one_line import one_line
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.engines.transformers_engine import TransformersEngine
from tuition.benchmarks.scoring.engines.vllm_engine import VllmEngine
from tuition.benchmarks.scoring.sampling import Decoding, training_rollouts
from tuition.planner.cost import CheckpointState
from tuition.planner.route import Block, derive_seed
from tuition.planner.stages import STAGE
from tuition.runners.drawing import Drawn, Sampler, SideBySide, draw_alone
from tuition.runners.draws import draws_per_block
from tuition.runners.events import Listener, ignore
from tuition.runners.labels import LabelPool
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.settings import AnySettings, RLSettings
from tuition.runners.scenarios.sources import ScenarioError
from tuition.runners.store.block_record import BlockRecord, PoolContent
from tuition.runners.store.block_store import BlockStore
from tuition.runners.store.rollouts import Rollouts
from tuition.runners.training.checkpoint import (
    end_tokens,
    hash_weights,
    load_tokenizer,
    vocabulary_size,
)
from tuition.runners.training.execution import TrainingOutput, save_result, train_block
from tuition.runners.training.launch import check_rollout_engine, too_few_gpus, train_in_processes
from tuition.runners.training.meter import Clock, accelerator_name, peak_memory_bytes
from tuition.runners.training.rows import BlockError, RowMaker, SampleCounts
from tuition.runners.training.teacher_server import divergence, serve
from tuition.runners.training.versions import library_versions, other_versions
from tuition.runners.training.work_order import OUT, ModelFiles, WorkOrder

logger = logging.getLogger(__name__)


class BlockTrainer:
    """Trains the blocks of one scenario into one store."""

    def __init__(
        self, scenario: Scenario, results: ResultsFolder, pool: LabelPool, grader: Grader, mix_versions: bool = False
    ):
        if (trouble := too_few_gpus(scenario.device, scenario.file.hardware.processes)) is not None:
            raise ScenarioError(trouble)
        self.scenario = scenario
        self.results = results
        self.store = BlockStore(results.store)
        self.pool = pool
        self.grader = grader
        self.mix_versions = mix_versions
        self.versions = library_versions(scenario)
        recipe, batch = scenario.recipe, scenario.file.hardware.generation_batch
        rollouts = Rollouts(results.rollouts, batch, self.versions, recipe.environment, scenario.draws)
        self.rows = RowMaker(scenario, pool, grader, rollouts, self.generate, self.weights_sha256, self.ends)
        self._contents = {"student": recipe.student, **recipe.teachers}
        self._bases = {content: name for name, content in reversed(self._contents.items())}

    def checkpoint(self, reference: str) -> Path:
        """Folder of a checkpoint named by a block's key or a base model's content hash."""
        return (
            self.scenario.base_folder(self._bases[reference])
            if reference in self._bases
            else self.store.model(reference)
        )

    def weights_sha256(self, reference: str) -> str:
        """Hash of the weights of a checkpoint; a base model's content hash stands for itself."""
        if reference in self._bases:
            return reference
        record = self.store.record(reference)
        if record is None:
            raise BlockError(
                f"block {reference[:12]} was removed from the store while a route needed it: rerun the same command"
            )
        return record.weights_sha256

    def usable(self, key: str) -> BlockRecord | None:
        """The record of a stored block; BlockError when other library versions or another GPU trained it."""
        record = self.store.record(key)
        if record is None or self.mix_versions:
            return record
        if differing := other_versions(record, self.versions, accelerator_name(self.scenario.device)):
            raise BlockError(
                f"stored block {key[:12]} was trained with {', '.join(differing)}; results would mix versions: "
                "use another --results folder, or --mix-versions to accept it"
            )
        return record

    def ensure(
        self,
        block: Block,
        answers: Mapping[str, str],
        hear: Listener = ignore,
        on_trained: Callable[[float], None] | None = None,
        *,
        resumable: bool = False,
    ) -> tuple[BlockRecord, bool]:
        """The record of a block, trained now if it must be. Returns (record, whether it was trained by this call).

        With `resumable`, a block that is only evaluable is trained again, because its stage is to be extended.
        `hear` gets each step. `on_trained` gets the GPU-seconds, rollouts that were drawn for it included, before
        the block is published: what was spent is written down even where a kill or a full disk then loses the block.
        """
        with self.store.lock(block.key):
            record = self.usable(block.key)
            if record is not None and not (resumable and self.store.state(block.key) is not CheckpointState.resumable):
                return record, False
            return self._train(block, answers, hear, on_trained), True

    def _train(
        self,
        block: Block,
        answers: Mapping[str, str],
        hear: Listener,
        on_trained: Callable[[float], None] | None,
    ) -> BlockRecord:
        logger.info("training block %s: %s[%d] of %s", block.key[:12], block.stage, block.index, block.model)
        import torch

        if self.scenario.device == "cpu":
            torch.set_num_threads(1)  # sums depend on the number of threads, and keys promise exactness
        clock = Clock(self.scenario.device, self.scenario.file.hardware.processes)
        if self.scenario.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with tempfile.TemporaryDirectory(prefix="tuition-") as scratch:
            order = self.order(block)
            rows, samples = self.rows.make(block, answers)
            rollout_seconds = samples.rollout_gpu_seconds
            output = self._train_with_teacher(order, rows, Path(scratch), hear)
            gpu_seconds = clock.gpu_seconds(output.processor_seconds + samples.elsewhere)
            if on_trained is not None:
                on_trained(round(gpu_seconds, 3))
            record = self._publish(block, output, samples, clock, gpu_seconds - rollout_seconds)
            del output
        if self.scenario.device == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
        if block.index > 0 and block.stage not in self.scenario.stages_keeping_states:
            with self.store.lock(block.parent):
                self.store.drop_optimizer(block.parent)
        return record

    def _settings(self, block: Block) -> AnySettings:
        return self.scenario.file.stages.of_block(block)

    def _train_with_teacher(
        self, order: WorkOrder, rows: list[dict[str, Any]], scratch: Path, hear: Listener
    ) -> TrainingOutput:
        """Train a block; where its teacher is behind a server, that lasts as long as the training."""
        settings = self.scenario.file.hardware.teacher_server
        teacher = order.block.teacher
        if settings is None or teacher is None or not STAGE[order.block.stage].is_dense:
            return self._train_order(order, rows, scratch, hear)
        folder = self._plain_folder(teacher, scratch / "teacher")
        top_k = settings.compared_tokens(STAGE[order.block.stage].objective)
        log = self.results.log(f"teacher-of-{order.block.key[:12]}")
        with serve(folder, order.dtype, settings, log, self._trusts(teacher)) as url:
            served = order.model_copy(update={"teacher_url": url, "teacher_top_k": top_k})
            return self._train_order(served, rows, scratch, hear)

    def _train_order(
        self, order: WorkOrder, rows: list[dict[str, Any]], scratch: Path, hear: Listener
    ) -> TrainingOutput:
        """Train a block in this process, or in others."""
        import torch

        check_rollout_engine(order)
        if order.apart:
            gc.collect()
            torch.cuda.empty_cache()  # what this process keeps, they cannot have
            log = self.results.log(f"block-{order.block.key[:12]}")
            account = train_in_processes(order, rows, scratch, log, hear)
            return TrainingOutput(
                lambda folder: shutil.copytree(scratch / OUT, folder, dirs_exist_ok=True),
                pd.read_parquet(scratch / OUT / "train.parquet"),
                account["peak_memory_bytes"],
                account["processor_seconds"] if order.device == "cpu" else 0.0,
            )
        try:
            result = train_block(order, rows, scratch, self.grader, hear)
        except torch.OutOfMemoryError as error:
            raise BlockError(
                f"{order.block.stage} ran out of memory ({one_line(error, 120)}): "
                f"`tuition doctor --scenario {self.scenario.name}` shows the memory of each stage and what reduces it"
            ) from error
        return TrainingOutput(
            lambda folder: save_result(order, result, folder), result.curves, peak_memory_bytes(order.device)
        )

    def _plain_folder(self, reference: str, scratch: Path) -> Path:
        """A checkpoint as one whole model: its own folder, or `scratch` with its adapter merged."""
        folder = self.checkpoint(reference)
        if not (folder / "adapter_config.json").exists():
            return folder
        self.frozen(reference).save_pretrained(scratch)
        load_tokenizer(folder).save_pretrained(scratch)
        return scratch

    def generate(self, reference: str, prompt_ids: list[list[int]], decoding: Decoding, seed: int) -> Drawn:
        """One completion (token ids) of a checkpoint for each prompt, by the scenario's engine and devices."""
        with self.opened(reference) as engine:
            if isinstance(engine, SideBySide):
                return engine.draw(prompt_ids, decoding, seed)
            return draw_alone(engine, prompt_ids, decoding, seed, self.scenario.file.hardware.generation_batch)

    @contextmanager
    def opened(self, reference: str) -> Iterator[TransformersEngine | VllmEngine | SideBySide]:
        """A checkpoint, loaded to draw from, in the scenario's engine on its devices."""
        hardware, files = self.scenario.file.hardware, self._files(reference)
        with tempfile.TemporaryDirectory(prefix="tuition-") as scratch:
            if self.scenario.engine == "vllm":
                files = replace(files, checkpoint=self._plain_folder(reference, Path(scratch) / "model"))
            ends = tuple(self.ends(reference))
            split = self.scenario.source(self.base_name(reference)).tensor_parallel
            sampler = Sampler(files, self.scenario.engine, self.scenario.device, ends, hardware.generation_batch, split)
            if hardware.processes == 1:
                with sampler.opened() as engine:
                    yield engine
                return
            with closing(SideBySide(sampler, hardware.processes // split)) as engines:
                yield engines

    def ends(self, reference: str) -> list[int]:
        """Token ids that end a completion of a checkpoint."""
        base = self.scenario.base_folder(self.base_name(reference))
        return sorted({load_tokenizer(base).eos_token_id, *end_tokens(base)})

    def order(self, block: Block) -> WorkOrder:
        """What training a block needs, as files and numbers."""
        hardware = self.scenario.file.hardware
        lora = self.scenario.source(block.model).lora
        bridge = STAGE[block.stage].is_dense
        taught = bridge and hardware.teacher_server is None
        # Fully trained weights stay in float32, whatever the compute type: at learning rates like 1e-6 most updates
        # would round to nothing in bfloat16.
        dtype = "float32" if lora is None else hardware.dtype
        new_adapter = lora is not None and block.parent in self._bases
        return WorkOrder(
            block=block,
            settings=self._settings(block),
            model=ModelFiles(
                self.checkpoint(block.parent),
                self.scenario.base_folder(block.model),
                dtype,
                self._trusts(block.parent),
            ),
            adapter=lora,
            adapter_seed=derive_seed(block.run_seed, "adapter", block.parent) if new_adapter else None,
            teacher=self._files(block.teacher) if taught else None,
            carried=self.store.path(block.parent) if block.index > 0 else None,
            reference=None if lora and block.stage_start in self._bases else self.checkpoint(block.stage_start),
            device=self.scenario.device,
            dtype=hardware.dtype,
            engine=self.scenario.engine,
            vllm=hardware.vllm,
            grading=self.scenario.policy.name,
            template=self.scenario.file.template,
            offload_teacher=hardware.offload_teacher,
            processes=hardware.processes,
            sharded=hardware.sharding == "fsdp2",
        )

    def _files(self, reference: str | None) -> ModelFiles:
        """A checkpoint (block key or base hash) that is not trained."""
        if reference is None:
            raise BlockError("a transfer block has no teacher")
        base = self.scenario.base_folder(self.base_name(reference))
        dtype = self.scenario.file.hardware.dtype
        return ModelFiles(self.checkpoint(reference), base, dtype, self._trusts(reference))

    def _trusts(self, reference: str) -> bool:
        """Whether code that a checkpoint's base model brings along may run; the recipe had it confirmed."""
        return self.scenario.source(self.base_name(reference)).trust_remote_code

    def frozen(self, reference: str | None) -> Any:
        """A checkpoint (block key or base hash) for inference only: to be scored, to sample training data."""
        return self._files(reference).load(self.scenario.device, trainable=False)

    def base_name(self, reference: str) -> str:
        """Name of the base model that a checkpoint grew from: "student" or a teacher's."""
        record = None if reference in self._bases else self.store.record(reference)
        content = reference if record is None else str(record.base)
        if content not in self._bases:
            raise BlockError(f"block {reference[:12]} comes from a base model that scenario {self.scenario.name} lacks")
        return self._bases[content]

    def _decoding(self, block: Block) -> EffectiveDecoding:
        """How a block's completions are drawn: its own while it trains, or those that it is trained on."""
        engine, sampler = self.scenario.engine, block.parent if STAGE[block.stage].generates else block.teacher
        if STAGE[block.stage].generates and engine == "vllm" and self.scenario.file.hardware.vllm.rollout_server:
            engine = "vllm server"
        drawn = training_rollouts(self._settings(block).max_completion_tokens)
        decoding = EffectiveDecoding.of(engine, drawn, self.ends(sampler or block.stage_start))
        if STAGE[block.stage].generates and block.teacher is not None:
            ours, theirs = (
                vocabulary_size(self.scenario.base_folder(name))
                for name in (block.model, self.base_name(block.teacher))
            )
            decoding = decoding.model_copy(update={"vocabulary": theirs if theirs < ours else None})
        return decoding

    def _groups(self, settings: AnySettings, curves: pd.DataFrame) -> tuple[int | None, int | None]:
        """GRPO's groups, and those whose completions all had one reward, from which nothing is learnt."""
        if not isinstance(settings, RLSettings):
            return None, None
        # A share is of a whole rollout batch, and stands in the step that drew it.
        without = round(float((curves["zero_variance_share"] * settings.prompts_needed).sum()))
        return settings.steps * settings.prompts_per_step, without

    def _publish(
        self, block: Block, output: TrainingOutput, samples: SampleCounts, clock: Clock, training_seconds: float
    ) -> BlockRecord:
        settings, curves, seconds = self._settings(block), output.curves, round(clock.seconds(), 3)
        groups, groups_zero_variance = self._groups(settings, curves)
        # On a CPU a process that waits costs nothing.
        used = float(curves["seconds"].sum()) * clock.processes if clock.device != "cpu" else training_seconds

        def write(folder: Path) -> BlockRecord:
            output.write(folder)
            return BlockRecord(
                key=block.key,
                stage=block.stage,
                index=block.index,
                model=block.model,
                base=self._contents[block.model],
                lora=lora.model_dump(mode="json") if (lora := self.scenario.source(block.model).lora) else {},
                parent=block.parent,
                parent_weights_sha256=self.weights_sha256(block.parent),
                stage_start=block.stage_start,
                teacher=block.teacher,
                teacher_weights_sha256=self.weights_sha256(block.teacher) if block.teacher else None,
                seed=block.seed,
                run_seed=block.run_seed,
                settings=self.scenario.recipe.block_settings(block.stage, block.merged),
                environment=dict(self.scenario.recipe.environment),
                pool=PoolContent.of(block, self.scenario.recipe),
                weights_sha256=hash_weights(folder / "model"),
                versions=self.versions,
                accelerator=accelerator_name(self.scenario.device),
                host=platform.node(),
                python=platform.python_version(),
                divergence=divergence(STAGE[block.stage].objective, self.scenario.file.hardware.teacher_server),
                decoding=self._decoding(block),
                truncated_share=None if curves["truncated_share"].isna().all() else curves["truncated_share"].mean(),
                labels_new=len(block.new_labels),
                labels_pool=len(block.pool),
                labels_filtered=samples.labels_filtered,
                draws=samples.draws,
                samples_drawn=samples.samples_drawn,
                samples_kept=samples.samples_kept,
                prompts=draws_per_block(settings),
                sequences=settings.steps * settings.sequences_per_step,
                steps=len(curves),
                tokens=int(curves["tokens_seen"].max()) if curves["tokens_seen"].notna().any() else None,
                groups=groups,
                groups_zero_variance=groups_zero_variance,
                gpu_seconds=round(training_seconds, 3),
                gpu_seconds_used=round(used, 3),
                seconds=seconds,
                peak_memory_bytes=output.peak_memory_bytes,
                rollouts=samples.rollouts,
                rollouts_made=samples.rollouts_made,
                finished=time.time(),
            )

        return self.store.publish(block.key, write)
