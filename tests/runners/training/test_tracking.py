"""Trackers: what TensorBoard is given of every block, and what a wrong choice says."""

import json
import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml

from tests.app.conftest import Command, tuition  # noqa: F401
from tests.runners.conftest import small_scenario_file
from tuition.runners.training.tracking import TRACKERS, TrackerError, start_tracking

ROUTE = "teacher=medium teacher_rl=1 warmup=1 student_rl=1"


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    with mock.patch.dict(os.environ):
        yield


def scalars(folder: Path) -> Counter[str]:
    """Names of the numbers in an event file, counted."""
    from tensorboardX.proto.event_pb2 import Event

    [file] = folder.iterdir()
    content, names, start = file.read_bytes(), Counter[str](), 0
    while start < len(content):
        # A record is its length in 8 bytes, 4 bytes of checksum, itself, 4 bytes of checksum.
        (length,) = struct.unpack_from("<Q", content, start)
        event = Event.FromString(content[start + 12 : start + 12 + length])
        names.update(value.tag for value in event.summary.value if value.HasField("simple_value"))
        start += length + 16
    return names


@pytest.mark.slow
def test_every_block_is_a_run_of_tensorboard_and_its_weights_are_the_same(
    tmp_path: Path,
    tuition: Command,  # noqa: F811
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small_scenario_file()))
    command = ("run", ROUTE, "--scenario", "small.yaml", "--quiet", "--json", "--results")
    tracked = json.loads(tuition(*command, "tracked", "--track", "tensorboard").stdout)
    runs = sorted((tmp_path / "tracked" / "tracking" / "tensorboard").iterdir())
    names = [run.name.rsplit("-", 1)[0] for run in runs]
    assert names == ["student_rl-0-student", "teacher_rl-0-medium", "warmup-0-student"]
    assert [scalars(run)["train/loss"] for run in runs] == [2, 2, 2]
    assert [scalars(run)["train/reward"] for run in runs] == [2, 2, 0]
    plain = json.loads(tuition(*command, "plain").stdout)
    assert plain["weights_sha256"] == tracked["weights_sha256"]
    assert not (tmp_path / "plain" / "tracking").exists()


def test_a_tracker_that_is_unknown_or_not_installed_is_named_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrackerError, match="unknown tracker 'mlflow': choose from tensorboard, wandb, trackio"):
        start_tracking("mlflow", tmp_path)
    monkeypatch.setitem(TRACKERS, "wandb", ("wandb_that_is_not_there",))
    with pytest.raises(TrackerError, match="wandb is not installed: pip install wandb"):
        start_tracking("wandb", tmp_path)
    assert not list(tmp_path.iterdir())
