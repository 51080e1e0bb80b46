#!/usr/bin/env bash
# A small results folder, as the installed version writes it, with its scenario, a leaderboard and a recorded table.
# results-e466b8e.tar.xz was made by commit e466b8e: tests/earlier/make.sh FOLDER && tar cJf ... -C FOLDER .
set -euo pipefail
mkdir -p "$1" && cd "$1"
python - <<'PY'
import shutil
from pathlib import Path
import torch, yaml
from transformers import Qwen3Config, Qwen3ForCausalLM
from tuition.runners.scenarios.scenario_file import BUILT_IN
def teach(model, source):
    """Enough for an answer to be right at times: a group of GRPO without variance would change no weight."""
    from tuition.benchmarks.suites.micro import LETTERS, RIGHT, candidates, numbers
    from tuition.runners.base_models.micro_build import solution
    import random
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(source)
    optimizer = torch.optim.AdamW(model.parameters(), 8e-3)
    texts = [(f"{n}{c}=", solution(n, candidates("micro", c)[i])) for c in LETTERS for n in numbers("micro", c, "pretraining") for i in (0, RIGHT, RIGHT)]
    random.Random(0).shuffle(texts)
    for step in range(2500):
        batch = [texts[(step * 32 + i) % len(texts)] for i in range(32)]
        ids = [tokenizer(p)["input_ids"] + tokenizer(a, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for p, a in batch]
        width = max(map(len, ids))
        x = torch.tensor([i + [tokenizer.eos_token_id] * (width - len(i)) for i in ids])
        labels = torch.tensor([i + [-100] * (width - len(i)) for i in ids])
        loss = model(input_ids=x, labels=labels).loss
        loss.backward(); optimizer.step(); optimizer.zero_grad()
    print("loss", float(loss))

for name, seed in (("student", 1), ("teacher", 2)):
    source = BUILT_IN / "micro" / "student"
    config = Qwen3Config.from_pretrained(source)
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 16, 48, 2
    config.num_attention_heads = config.num_key_value_heads = 2
    config.head_dim, config.layer_types = 8, None
    config = Qwen3Config(**{k: v for k, v in config.to_dict().items() if k != "layer_types"})
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    teach(model, source)
    model.save_pretrained(name)
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / file, name)
rl = {"steps": 1, "prompts_per_step": 4, "generations": 4, "learning_rate": 2e-2, "lr_warmup_steps": 1, "max_completion_tokens": 8, "micro_batch": 16}
dense = {"steps": 1, "prompts_per_step": 8, "completions": 1, "learning_rate": 2e-2, "lr_warmup_steps": 1, "max_completion_tokens": 8, "micro_batch": 16}
Path("scenario.yaml").write_text(yaml.safe_dump({
    "name": "earlier",
    "student": {"path": "student"}, "teachers": {"medium": {"path": "teacher"}},
    "labels": {"micro": "labels", "count": 8}, "labels_per_block": 4,
    "prompts": {"micro": "prompts", "count": 16},
    "validation": {"problems": {"micro": "validation", "count": 6}, "samples": 2},
    "test": {"problems": {"micro": "test", "count": 6}, "samples": 2},
    "decoding": {"name": "sampled", "max_new_tokens": 8},
    "stages": {"teacher_rl": rl, "student_rl": rl, "warmup": dense, "opd": dense, "transfer_sft": dense,
               "teacher_sft": {"steps": 1, "sequences": 8, "samples_per_problem": 8, "learning_rate": 1e-3, "max_completion_tokens": 8, "micro_batch": 16}},
    "search": {"bridge_warmup": 1, "bridge_opd": 1, "max_warmup": 1, "max_opd": 1},
    "hardware": {"device": "cpu"},
}, sort_keys=False))
PY
tuition search --scenario scenario.yaml --trials 4 --test-seeds 1 --study old --quiet
tuition run "teacher=medium teacher_rl=1 transfer_sft=1" --scenario scenario.yaml --quiet
# A stopped search: its next trial is not begun.
tuition search --scenario scenario.yaml --trials 2 --seed 1 --test-seeds 0 --study begun --quiet
bench="tuition bench --scenario scenario.yaml --suite micro --limit 4 --samples 2 --max-new-tokens 8 --quiet"
$bench --model base:student
$bench --model "$(tuition store list --json | python -c 'import json,sys; print(json.load(sys.stdin)["blocks"][0]["key"])')"
tuition leaderboard add board --study old
# Of these only what is small is kept: a study without its blocks, and the table.
tuition baselines --scenario scenario.yaml --only half --only direct-compute --compute-of half --study old-baselines --results elsewhere --quiet
cp -r elsewhere/studies/old-baselines results/studies/
tuition record --scenario scenario.yaml --seeds 2 --only-named --out table.parquet --results elsewhere --quiet
rm -r elsewhere
