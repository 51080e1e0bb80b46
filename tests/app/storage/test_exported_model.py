"""`tuition export` on blocks that were published without any training."""

import json
from pathlib import Path

import pytest
import yaml

from tests.app.conftest import A, Command, put
from tests.app.studies.made_report import evaluation, write_tested
from tests.runners.conftest import small_scenario_file
from tuition.planner.allocation import Allocation
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.scenarios.scenario_file import BUILT_IN
from tuition.runners.store.block_store import BlockStore


def test_export_copies_a_fully_trained_checkpoint(store: BlockStore, tuition: Command, tmp_path: Path) -> None:
    put(store, A, model=BUILT_IN / "micro" / "student")
    result = tuition("store", "export", "aaa", "--to", "out/model")
    target = tmp_path / "out" / "model"
    assert result.returncode == 0 and result.stdout.strip() == str(target)
    copied = {p.name for p in (BUILT_IN / "micro" / "student").iterdir()}
    assert {p.name for p in target.iterdir()} == copied | {"README.md"}
    again = tuition("store", "export", "aaa", "--to", "out/model")
    assert again.returncode == 2 and "not an empty folder" in again.stderr
    (tmp_path / "empty").mkdir()
    document = json.loads(tuition("store", "export", A, "--to", "empty", "--json").stdout)
    assert document == {"key": A, "folder": str(tmp_path / "empty"), "merged": False}
    assert (tmp_path / "empty" / "config.json").exists()


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("", "allocation"), ("../x", "allocation"), ("*", "allocation"), ("f", "not in the store"), ("a", "2 blocks")],
)
def test_export_needs_one_block(store: BlockStore, tuition: Command, tmp_path: Path, prefix: str, message: str) -> None:
    put(store, A)
    put(store, "a" + "0" * 63)
    result = tuition("store", "export", prefix, "--to", "out")
    assert result.returncode == 2 and message in result.stderr and not (tmp_path / "out").exists()


def test_a_route_and_a_tested_row_are_found_by_name(store: BlockStore, tuition: Command, tmp_path: Path) -> None:
    scenario = Scenario.load("micro")
    route = compile_route(Allocation.parse("student_rl=8"), scenario.recipe, 3)
    missing = tuition("export", "direct", "--seed", "3", "--to", "out")
    assert missing.returncode == 2 and "tuition run 'direct' --scenario micro --seed 3" in missing.stderr
    put(store, route.final, model=BUILT_IN / "micro" / "student")
    put(store, A, model=BUILT_IN / "micro" / "student")
    runs = {"half = search #3": [{"seed": 1000, "blocks": ["c" * 64, A]}], "direct": [{"seed": 1000, "blocks": [A]}]}
    write_tested(tmp_path / "results" / "studies" / "micro-seed0" / "report.json", evaluation(runs))
    asked = {
        ("direct", "--seed", "3"): route.final,
        ("student_rl=8", "--seed", "3"): route.final,
        ("half", "--study", "micro-seed0"): A,
        ("search #3", "--study", "micro-seed0", "--seed", "1000"): A,
    }
    for number, (arguments, key) in enumerate(asked.items()):
        result = tuition("export", *arguments, "--to", f"out{number}", "--json")
        assert result.returncode == 0 and json.loads(result.stdout)["key"] == key
    for arguments, message in (
        (("third", "--study", "micro-seed0"), "no row 'third': choose from 'half = search #3', 'direct'"),
        (("half", "--study", "micro-seed0", "--seed", "7"), "not trained with seed 7, but with 1000"),
        (("half", "--study", "other"), "has no tested runs"),
    ):
        refused = tuition("export", *arguments, "--to", "refused")
        assert refused.returncode == 2 and message in refused.stderr
    assert not (tmp_path / "refused").exists()


def test_a_damaged_block_is_not_exported(store: BlockStore, tuition: Command, tmp_path: Path) -> None:
    put(store, A)
    (store.model(A) / "model.safetensors").write_bytes(b"flipped")
    result = tuition("store", "export", "a", "--to", "out")
    assert result.returncode == 2 and "does not match its checksum" in result.stderr
    assert not (tmp_path / "out").exists()


def test_export_merges_an_adapter_into_its_base(store: BlockStore, tuition: Command, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora = {"rank": 2, "alpha": 4}
    content = {**small_scenario_file(), "student": {"path": str(BUILT_IN / "micro" / "student"), "lora": lora}}
    (tmp_path / "lora.yaml").write_text(yaml.safe_dump(content))
    scenario = Scenario.load(str(tmp_path / "lora.yaml"))
    base = AutoModelForCausalLM.from_pretrained(scenario.base_folder("student"), dtype=torch.float32)
    adapted = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    put(store, A, model=tmp_path / "adapter", base=scenario.recipe.student)
    refused = tuition("store", "export", "a", "--to", "out")
    assert refused.returncode == 2 and "--scenario" in refused.stderr and not (tmp_path / "out").exists()
    result = tuition("store", "export", "a", "--to", "out", "--scenario", str(tmp_path / "lora.yaml"))
    assert result.returncode == 0, result.stderr
    assert not list((tmp_path / "out").glob("adapter*"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    tokens = torch.arange(1, 9).unsqueeze(0)
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens).logits, adapted.eval()(tokens).logits, atol=1e-4, rtol=1e-4)
