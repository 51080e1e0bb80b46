"""Predicted peak memory of the machine: what all processes of a block keep in its RAM together.

On a GPU that is little while they train. Before, models are read into memory on their way to the devices; at the end
the first process gathers weights and optimizer state, and writes them. On a CPU it is what they train with.

Simplified: what CUDA's libraries keep (gigabytes a process, by their version) is not counted; nor are the files of
models, which the kernel keeps as long as nobody needs the room.
"""

from tuition.planner.stages import STAGE
from tuition.runners.scenarios.memory import CPU_PROCESS, MOMENTS, Prediction, predict_stage
from tuition.runners.scenarios.scenario import Scenario

FORKED = 160 * 2**20
"""Of a process that is forked from one with the libraries: what it comes to hold for itself, with the process that
grades for it. Measured (`python -m tests.experiments.speed.host_memory --parts`)."""


def predict_host(scenario: Scenario, stage: str) -> Prediction | None:
    """The prediction for the machine on which a scenario's stage is trained; None where a model's shape is unknown."""
    on_device = predict_stage(scenario, stage)
    trained = scenario.shape(STAGE[stage].trained_model(scenario.default_teacher))
    if on_device is None or trained is None:
        return None
    written = (1 + MOMENTS) * 4 * _trained_parameters(scenario, stage)
    if scenario.device == "cpu":
        once = sum(_read(scenario, stage).values()) + written if _is_sharded(scenario) else 0
        return _on_a_cpu(on_device, scenario.file.hardware.processes, once)
    moments = {"models are read": _read(scenario, stage), "the block is written": {"weights and optimizer": written}}
    processes = CPU_PROCESS * (1 + scenario.file.hardware.processes)
    always = {"processes": processes, "offloaded teacher": _offloaded(scenario, stage)}
    return max(
        (Prediction(moment, {k: v for k, v in (always | parts).items() if v}) for moment, parts in moments.items()),
        key=lambda prediction: prediction.total,
    )


def _on_a_cpu(each: Prediction, processes: int, once: int) -> Prediction:
    """What each process holds, so many times; libraries once, and `once` what the first one reads and gathers.

    Its moments add up, as those of one process do.
    """
    parts = {name: processes * size for name, size in each.parts.items() if name != "process"}
    own = processes * FORKED if processes > 1 else 0
    parts |= {"processes": each.parts["process"] + own, "read and gathered": once}
    return Prediction(each.moment, {name: size for name, size in parts.items() if size})


def _read(scenario: Scenario, stage: str) -> dict[str, int]:
    """Bytes on their way to the devices. What is sharded the first process reads, anything else each for itself."""
    hardware, settings = scenario.file.hardware, scenario.file.stages.of(stage)
    trained, teacher = scenario.shape(STAGE[stage].trained_model(scenario.default_teacher)), None
    if STAGE[stage].is_dense and hardware.teacher_server is None and not hardware.offload_teacher:
        teacher = scenario.shape(scenario.default_teacher)
    assert trained is not None
    size = 4 if hardware.dtype == "float32" else 2
    adapted = scenario.source(STAGE[stage].trained_model(scenario.default_teacher)).lora is not None
    weights = (size if adapted else 4) * trained.parameters
    if _is_sharded(scenario):  # both are there until training begins, and a teacher is read after
        reference = weights if getattr(settings, "kl_coef", 0.0) > 0 else 0
        return {
            "weights": weights,
            "reference": reference,
            "teacher": hardware.processes * size * teacher.parameters if teacher else 0,
        }
    # One after the other: each is on its device before the next one is read.
    largest = max(weights, size * teacher.parameters if teacher else 0)
    return {"models": hardware.processes * largest}


def _offloaded(scenario: Scenario, stage: str) -> int:
    """Bytes of a teacher that stays here, once a process."""
    hardware, teacher = scenario.file.hardware, scenario.shape(scenario.default_teacher)
    if not hardware.offload_teacher or not STAGE[stage].is_dense or teacher is None:
        return 0
    return hardware.processes * (4 if hardware.dtype == "float32" else 2) * teacher.parameters


def _trained_parameters(scenario: Scenario, stage: str) -> int:
    model = STAGE[stage].trained_model(scenario.default_teacher)
    shape, lora = scenario.shape(model), scenario.source(model).lora
    assert shape is not None
    return shape.adapter(lora.rank) if lora else shape.parameters


def _is_sharded(scenario: Scenario) -> bool:
    return scenario.file.hardware.sharding == "fsdp2"
