from tests.runners.made_records import made_record
from tuition.runners.training.versions import other_versions

KEY = "ab" + "0" * 62


def test_other_versions_are_named_with_both() -> None:
    record = made_record(KEY, versions={"torch": "2.1", "trl": "1.0"}, accelerator="H100")
    assert other_versions(record, {"torch": "2.1", "trl": "1.0"}, "H100") == []
    assert other_versions(record, {"torch": "2.2", "vllm": "0.9"}, "H200") == [
        "torch 2.1 (here 2.2)", "vllm None (here 0.9)", "accelerator H100 (here H200)",
    ]  # fmt: skip
