"""What TRL, transformers, peft and vLLM would otherwise choose: every argument that changes what is learnt or drawn and
is no setting of a scenario.

All of it is passed explicitly, so that a new version's new default cannot act. The values are the defaults of the
versions in `requirements.lock`, unless a comment says why not. What a value decides is covered by the revisions in
`tuition.planner.stages`: change one, and raise the revisions of the stages that it reaches. A test compares with the
installed libraries: each field of their configurations is passed, or listed there with the reason why not.
"""

from collections.abc import Mapping
from typing import Any

from tuition.benchmarks.scoring.effective_decoding import NEUTRAL_IN_VLLM
from tuition.benchmarks.scoring.sampling import NEUTRAL_IN_GENERATE

TRAINING: Mapping[str, Any] = {
    # Optimizer and schedule. Which AdamW is the default depends on the version of torch.
    "optim": "adamw_torch_fused",
    "optim_args": None,
    "optim_target_modules": None,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "lr_scheduler_type": "constant_with_warmup",  # its first step: see `warmed_up`
    "lr_scheduler_kwargs": None,
    # Loss.
    "average_tokens_across_devices": True,
    "label_smoothing_factor": 0.0,
    "neftune_noise_alpha": None,
    # Precision and kernels.
    "fp16": False,
    "tf32": None,
    "torch_compile": False,
    "torch_compile_backend": None,
    "torch_compile_mode": None,
    "use_liger_kernel": False,
    "liger_kernel_config": None,
    "gradient_checkpointing_kwargs": None,
    "full_determinism": False,
    "use_cache": False,
    # Rows come in the order in which they are given, none is dropped, no batch shrinks by itself.
    "train_sampling_strategy": "sequential",
    "data_seed": None,
    "dataloader_drop_last": False,
    "dataloader_num_workers": 0,
    "dataloader_in_order": True,
    "label_names": None,
    "auto_find_batch_size": False,
    "ignore_data_skip": False,
    "resume_from_checkpoint": None,
    # Several processes; the size of a bucket is the order in which gradients are summed.
    "accelerator_config": {
        "split_batches": False,
        "dispatch_batches": None,
        "even_batches": True,
        "use_seedable_sampler": True,
        "non_blocking": False,
        "gradient_accumulation_kwargs": None,
        "use_configured_state": False,
    },
    "parallelism_config": None,
    "ddp_backend": None,
    "ddp_timeout": 1800,
    "ddp_find_unused_parameters": None,
    "ddp_bucket_cap_mb": None,
    "ddp_broadcast_buffers": None,
    "ddp_static_graph": None,
    "fsdp": None,  # it comes by `tuition.runners.training.sharding`
    "fsdp_config": None,
    "deepspeed": None,
    # A loss that is no number is shown as such.
    "logging_nan_inf_filter": False,
}
"""Of `transformers.TrainingArguments`, for every stage."""

SFT: Mapping[str, Any] = {
    "model_init_kwargs": None,
    "router_aux_loss_coef": None,
    "chat_template_path": None,
    "eos_token": None,
    "pad_token": None,
    "dataset_kwargs": {"skip_prepare_dataset": True},  # rows are token ids already
    "max_length": None,  # nothing is cut
    "shuffle_dataset": False,
    "packing": False,
    "padding_free": False,
    "pad_to_multiple_of": None,
    "completion_only_loss": None,
    "assistant_only_loss": False,
    "loss_type": "nll",
    "remove_unused_columns": True,
}
"""Of `trl.SFTConfig`."""

ROLLOUTS: Mapping[str, Any] = {
    "model_init_kwargs": None,
    "disable_dropout": False,
    "remove_unused_columns": False,
    "shuffle_dataset": False,
    "pad_to_multiple_of": None,
    # The model's own distribution, whatever its folder advises.
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "cache_implementation": None,
    "max_tool_calling_iterations": None,
    "vllm_model_impl": "vllm",
    "vllm_structured_outputs_regex": None,
}
"""Of the configurations of TRL whose trainers draw completions: GRPO and distillation."""

GRPO: Mapping[str, Any] = {
    "router_aux_loss_coef": None,
    "cast_lm_head_to_fp32": False,
    "generation_batch_size": None,  # follows from steps_per_generation
    "num_iterations": 1,  # each completion is trained on once
    "epsilon_high": None,
    "delta": None,
    "sapo_temperature_neg": 1.05,
    "sapo_temperature_pos": 1.0,
    "vespo_k_pos": 2.0,
    "vespo_lambda_pos": 3.0,
    "vespo_k_neg": 3.0,
    "vespo_lambda_neg": 2.0,
    "importance_sampling_level": "token",
    "reward_weights": None,
    "multi_objective_aggregation": "sum_then_normalize",
    "mask_truncated_completions": False,
    "sync_ref_model": False,  # the reference is the checkpoint at the start of the stage
    "ref_model_mixup_alpha": 0.6,
    "ref_model_sync_steps": 512,
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
    "entropy_coef_min": 0.0,
    "entropy_coef_max": 1.0,
    "entropy_coef_delta": 0.005,
    "entropy_target": 0.2,
    "off_policy_mask_threshold": None,
    "use_transformers_continuous_batching": False,
    "transformers_continuous_batching_config": None,
}
"""Of `trl.GRPOConfig`."""

DISTILLATION: Mapping[str, Any] = {
    "teacher_model_name_or_path": None,
    "teacher_model_revision": None,
    "teacher_model_init_kwargs": None,
}
"""Of `trl.DistillationConfig`."""

SERVER_DISTILLATION: Mapping[str, Any] = {
    "loss_add_tail": True,
    "reverse_kl_top_1_mode": "sampled",
}
"""Of TRL's `ServerDistillationConfig`."""

GENERATION: Mapping[str, Any] = {name: value for name, value in NEUTRAL_IN_GENERATE.items() if name not in ROLLOUTS}
"""Of `transformers.GenerationConfig`, besides what TRL passes: neutral values, which a model's own could take the place
of. Those whose neutral value is None stay None because a model is loaded without its own (`load_model`)."""

SAMPLING: Mapping[str, Any] = {name: value for name, value in NEUTRAL_IN_VLLM.items() if name not in ROLLOUTS}
"""Of `vllm.SamplingParams`, besides what TRL passes. A server would take its own, or the model's."""

VLLM: Mapping[str, Any] = {
    "dtype": "auto",  # the folder's: bfloat16 for one of float32 weights, too
    "kv_cache_dtype": "auto",
    "use_fp64_gumbel": False,
    "speculative_config": None,
    "generation_config": "vllm",  # the folder's advice acts only on requests without parameters: there are none
    "enforce_eager": False,
    "disable_sliding_window": False,
    "disable_cascade_attn": True,
    "pipeline_parallel_size": 1,
    "data_parallel_size": 1,
    "scheduling_policy": "fcfs",
}
"""Of vLLM's engine in the trainer's process, besides what TRL passes."""

LORA: Mapping[str, Any] = {
    "task_type": "CAUSAL_LM",
    "lora_dropout": 0.0,
    "bias": "none",
    "lora_bias": False,
    "use_rslora": False,
    "use_dora": False,
    "use_qalora": False,
    "init_lora_weights": True,
    "fan_in_fan_out": False,
    "exclude_modules": None,
    "modules_to_save": None,
    "layers_to_transform": None,
    "layers_pattern": None,
    "layer_replication": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "target_parameters": None,
    "trainable_token_indices": None,
}
"""Of `peft.LoraConfig`: a plain adapter."""

ADAPTER: Mapping[str, Any] = {
    "autocast_adapter_dtype": True,  # an adapter is trained in float32, whatever its base is kept in
    "low_cpu_mem_usage": False,
}
"""Of peft's functions that make an adapter and open one."""
