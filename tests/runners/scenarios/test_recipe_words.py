from tuition.planner.drift import describe_drift
from tuition.runners.scenarios.recipe_words import in_words

PROMPT = {"suffix": " Think.", "chat_template": True, "template": {"enable_thinking": False}}
SERVED = {"teacher_server_loss": "over the step's tokens"}


def test_settings_and_environment_have_the_names_of_the_scenarios_file() -> None:
    stages = {
        "warmup": {"steps": 2, "revision": 1, "prompt": PROMPT, "generation_batch": 8, "teacher_top_k": 20, **SERVED},
        "opd": {"steps": 3, "revision": 2, "prompt": PROMPT, "teacher_top_k": 1, **SERVED},
        "student_rl": {"filter": {"samples": 4}, "revision": 1, "prompt": PROMPT, "grader": "g"},
    }
    assert in_words(stages, {"device": "cuda", "dtype": "bfloat16", "autocast": "every stage"}) == {
        "revision of warmup": 1, "revision of opd": 2, "revision of student_rl": 1, "grader": "g",
        "prompt_suffix": " Think.", "chat_template": True, "template": {"enable_thinking": False},
        "stages": {"warmup": {"steps": 2}, "opd": {"steps": 3}, "student_rl": {"filter": {"samples": 4}}},
        "hardware": {
            "device": "cuda", "dtype": "bfloat16", "generation_batch": 8, "processes": 1, "sharding": "none",
            "teacher_server": {
                "loss": "over the step's tokens", "warmup": "20 tokens compared", "opd": "1 tokens compared",
            },
        },
    }  # fmt: skip


def test_a_bridge_that_was_in_float32_is_distinguished() -> None:
    assert in_words({}, {"dtype": "bfloat16"})["hardware"]["dtype"] == "bfloat16, the bridge in float32"
    assert in_words({}, {"dtype": "float32"})["hardware"]["dtype"] == "float32"


def test_a_teachers_server_whose_loss_was_averaged_otherwise_is_distinguished() -> None:
    now, was = in_words({"opd": {"teacher_top_k": 1, **SERVED}}, {}), in_words({"opd": {"teacher_top_k": 1}}, {})
    changed = "hardware.teacher_server.loss: over the step's tokens, was over each forward pass"
    assert describe_drift(now, was) == [changed]


def test_processes_are_a_number_and_one_where_nothing_is_said() -> None:
    now, was = in_words({}, {"device": "cpu", "processes": "2"}), in_words({}, {"device": "cpu"})
    assert describe_drift(now, was) == ["hardware.processes: 2, was 1"]


def test_what_blocks_had_before_there_was_a_setting_is_said() -> None:
    environment = {"device": "cuda", "engine": "vllm"}
    was = {"student_rl": {"lr_warmup_steps": 5}, "opd": {"lr_warmup_steps": 0}}
    correction = {"mode": "token_truncate", "clip_min": None, "clip_max": 3.0}
    now = {
        "student_rl": {
            "lr_warmup_steps": 5, "lr_warmup_first_rate": "above zero", "rollout_correction": correction,
            "updates_per_rollout": 4,
        },
        "opd": {"lr_warmup_steps": 0, "teacher_tensor_parallel": 2},
    }  # fmt: skip
    assert describe_drift(in_words(now, {**environment, "vllm_tensor_parallel": "2"}), in_words(was, environment)) == [
        "hardware.teacher_server.tensor_parallel: 2, was not set",
        "hardware.vllm.tensor_parallel: 2, was not set",
        "stages.student_rl.lr_warmup_first_rate: above zero, was zero",
        "stages.student_rl.rollout_correction.mode: token_truncate, was sequence_mask",
        "stages.student_rl.updates_per_rollout: 4, was not set",
    ]
