from pathlib import Path

import pytest

from tests.runners.made_records import made_record
from tuition.runners.training import meter
from tuition.runners.training.versions import other_versions

KEY = "ab" + "0" * 62


def test_other_versions_are_named_with_both() -> None:
    record = made_record(KEY, versions={"torch": "2.1", "trl": "1.0"}, accelerator="H100")
    assert other_versions(record, {"torch": "2.1", "trl": "1.0"}, "H100") == []
    assert other_versions(record, {"torch": "2.2", "vllm": "0.9"}, "H200") == [
        "torch 2.1 (here 2.2)", "vllm None (here 0.9)", "accelerator H100 (here H200)",
    ]  # fmt: skip


XEON, EPYC = "cpu: Intel Xeon, family 6 model 143", "cpu: AMD EPYC 9R14, family 25 model 17"


@pytest.mark.parametrize(
    ("recorded", "here", "refused"),
    [
        (EPYC, EPYC, False),
        (EPYC, XEON, True),
        ("cpu x86_64", XEON, False),
        ("cpu", XEON, False),
        ("NVIDIA H200", XEON, True),
        (XEON, "NVIDIA H200", True),
        ("cpu", "NVIDIA H200", True),
    ],
)
def test_models_of_processors_are_not_mixed_as_far_as_they_are_known(recorded: str, here: str, refused: bool) -> None:
    expected = [f"accelerator {recorded} (here {here})"] if refused else []
    assert other_versions(made_record(KEY, versions={}, accelerator=recorded), {}, here) == expected


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9R14\n\nprocessor\t: 1\n", EPYC),
        ("processor\t: 0\nmodel name\t: A\n", "cpu: A"),
        ("processor\t: 0\nBogoMIPS\t: 50.00\n", "cpu: aarch64"),
        (None, "cpu: aarch64"),
    ],
)
def test_a_processor_is_named_by_its_model(
    told: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(meter, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(meter.platform, "processor", lambda: "")
    monkeypatch.setattr(meter.platform, "machine", lambda: "aarch64")
    meter._processor.cache_clear()
    assert meter.accelerator_name("cpu") == name
    meter._processor.cache_clear()
