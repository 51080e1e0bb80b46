"""A study in a PostgreSQL server that is restarted; skipped where there is no server to start, or no driver."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from tests.planner.searching.test_trial_loop import evaluate, what_was_searched
from tests.planner.test_study import SPACE
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.route import Route
from tuition.planner.sampler import SeededSampler
from tuition.planner.scores.outcome import Outcome
from tuition.planner.searching.trial_loop import StudyLimits
from tuition.planner.storage import StudyError
from tuition.planner.study import open_study, search

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet_optuna"), pytest.mark.xdist_group("postgres")]

PASSWORD = "hunter2@/secret"
QUOTED = "hunter2%40%2Fsecret"


@dataclass
class Server:
    """A server of its own, in a new folder."""

    folder: Path
    binaries: Path
    port: int

    def control(self, *words: str) -> None:
        """`pg_ctl`; not as root, which PostgreSQL refuses."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), *words)

    def start(self) -> None:
        self.control("-o", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off", "start")

    def run(self, program: str, *words: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        command = [str(self.binaries / program), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, user=user, group=user)

    def url(self, user: str = "tuition", password: str = f":{QUOTED}") -> str:
        return f"postgresql+psycopg://{user}{password}@127.0.0.1:{self.port}/postgres"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("there is no PostgreSQL server here: apt-get install postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="tuition-pg-", dir="/tmp"))  # root's folders of pytest are closed to others
    running = Server(folder, found[-1].parent, port)
    (folder / "password").write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres", "postgres")
    running.run("initdb", "-D", "data", "-U", "tuition", "-A", "scram-sha-256", "--pwfile", "password", "--no-sync")
    running.start()
    yield running
    running.control("stop", "-m", "immediate")
    shutil.rmtree(folder)


def test_a_search_outlives_a_restart_of_its_server(server: Server, compile_it: Callable[[Allocation], Route]) -> None:
    whole = optuna.create_study(direction="maximize", sampler=SeededSampler("random", 0))
    search(whole, SPACE, compile_it, evaluate, StudyLimits(trials=4))

    def disturbed(number: int, allocation: Allocation, route: Route, asked: Sequence[Checkpoint]) -> Outcome:
        if number == 1:
            server.control("stop", "-m", "fast")
            threading.Timer(2.0, server.start).start()  # it is away for two seconds
        return evaluate(number, allocation, route, asked)

    study = open_study("restarted", server.url(), "scenario", seed=0, sampler="random")
    search(study, SPACE, compile_it, disturbed, StudyLimits(trials=4))
    assert what_was_searched(study) == what_was_searched(whole)


def test_a_password_may_come_from_a_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "pgpass"
    kept.write_text("*:*:*:tuition:" + PASSWORD.replace(":", r"\:"))
    kept.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(kept))
    assert open_study("file", server.url(password=""), "scenario", seed=0).study_name == "file"


def test_a_wrong_password_is_refused_in_a_line_without_it(server: Server) -> None:
    with pytest.raises(StudyError, match="cannot open the study storage") as caught:
        open_study("wrong", server.url(password=":swordfish"), "scenario", seed=0)
    assert "swordfish" not in str(caught.value) and "password authentication failed" in str(caught.value)
