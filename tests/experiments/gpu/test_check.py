"""The GPU checks as far as a CPU can tell: that a failure is told and stops nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.experiments.gpu import check
from tests.experiments.gpu.resume import compare


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
