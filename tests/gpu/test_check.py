"""The GPU checks as far as a CPU can tell: what they predict, and that a failure is told and stops nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.gpu import check
from tests.gpu.memory import Shape, predict
from tests.gpu.resume import compare

SHAPE = Shape(layers=2, width=64, mlp=192, query=128, key=32, vocabulary=256)


def make_model(layers: int) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=256,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config)


def bytes_kept(layers: int, sequences: int, tokens: int) -> int:
    """Bytes that autograd keeps of a forward pass, parameters apart."""
    model = make_model(layers)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(sequences, tokens, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        output = model.base_model(input_ids=ids, use_cache=False)
    assert output.last_hidden_state.requires_grad
    return sum(kept.values())


def test_a_shape_is_read_from_the_configuration() -> None:
    model = make_model(layers=2)
    assert Shape.of(model.config) == SHAPE
    assert SHAPE.parameters == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.01)


def test_the_predicted_activations_are_what_autograd_keeps() -> None:
    one_layer = bytes_kept(3, 16, 24) - bytes_kept(2, 16, 24)
    copies = 2 * SHAPE.linear / SHAPE.layers
    assert one_layer == pytest.approx(16 * 24 * SHAPE.kept_by_layer + copies, rel=0.05)


def test_a_reference_and_a_teacher_are_counted() -> None:
    sizes = {"sequences": 8, "prompt": 8, "completion": 16}
    without = predict("student_rl", SHAPE, None, False, **sizes)
    assert predict("student_rl", SHAPE, None, True, **sizes).total == without.total + 4 * SHAPE.parameters
    assert predict("opd", SHAPE, SHAPE, False, **sizes).parts["teacher"] == 2 * SHAPE.parameters


def test_a_long_context_peaks_in_the_backward_pass_and_a_large_model_in_the_update() -> None:
    large = Shape(layers=36, width=4096, mlp=12288, query=4096, key=1024, vocabulary=151936)
    assert "backward" in predict("student_rl", large, None, True, 64, 512, 4096).moment
    assert predict("student_rl", large, None, True, 1, 16, 16).moment == "optimizer step"


def test_a_failing_check_says_why_and_stops_no_other(tmp_path: Path) -> None:
    report = check.Report("title", tmp_path / "gpu.md")

    def fail() -> tuple[str, bool]:
        raise ValueError("no such | thing")

    report.check("first", fail)
    report.check("second", lambda: ("seen", True))
    written = (tmp_path / "gpu.md").read_text()
    assert report.failures == 1
    assert "| first | ValueError: no such \\| thing | FAILED |" in written
    assert "| second | seen | ok |" in written


def test_without_a_gpu_it_skips_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["check"])
    assert check.main() == 0
    assert "skipped: PyTorch sees no GPU" in capsys.readouterr().out


def test_checkpoints_are_compared_by_their_largest_difference(tmp_path: Path) -> None:
    weights = {"a": torch.zeros(3), "b": torch.ones(2)}
    for name, changed in (("one", 1.0), ("same", 1.0), ("other", 1.25)):
        (tmp_path / name).mkdir()
        save_file({**weights, "b": weights["b"] * changed}, tmp_path / name / "model.safetensors")
    assert str(compare(tmp_path / "one", tmp_path / "same")) == "bit for bit"
    assert compare(tmp_path / "one", tmp_path / "other").largest == 0.25
