"""A small results folder through the real writers: nothing is trained, but the records, scores and studies are real."""

import hashlib
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from streamlit.testing.v1 import AppTest

from tests.app.studies.made_report import evaluation, search_report
from tests.planner.conftest import build_recipe
from tests.runners.made_records import made_record
from tuition.app.studies.study_report import Pair, write_report
from tuition.benchmarks.boards.ranked_rows import Meta, Row, pairwise_differences, rank_rows, to_json
from tuition.benchmarks.problems import Problem
from tuition.benchmarks.results_folder import ResultsFolder
from tuition.benchmarks.scoring.score_store import Making, ScoreKey, ScoreStore
from tuition.benchmarks.scoring.statements import keep_statements
from tuition.benchmarks.statistics.intervals import avg_at_k, paired_difference, score_over_seeds
from tuition.benchmarks.statistics.multiplicity import sign_flip
from tuition.planner.allocation import Allocation
from tuition.planner.route import Block, compile_route
from tuition.planner.study import open_study
from tuition.runners.labels import Ledger
from tuition.runners.store.block_record import BlockRecord
from tuition.runners.store.block_store import BlockStore

STUDY = "made-seed0"
UPSTREAM = "teacher=large teacher_rl=8 warmup=1 opd=1"
HALF = "teacher=large teacher_rl=4 warmup=1 opd=1 student_rl=4"
DIRECT = "student_rl=8"
HALF_REPLAY = "teacher=large teacher_rl=4 warmup=1 opd=1 replay=4"
SKILLS = {UPSTREAM: 0.8, HALF: 0.7, DIRECT: 0.4, HALF_REPLAY: 0.5}
COMPLETION = "so \\boxed{7}"


def weights_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Maker:
    """Writes runs into a results folder."""

    def __init__(self, results: Path):
        self.results = results
        self.store, self.scores = BlockStore(results / "store"), ScoreStore(results / "scores")
        self.ledger = Ledger(results / "ledger.sqlite")
        teachers = {name: weights_of(name) for name in ("large", "small")}
        self.recipe = build_recipe(student=weights_of("student"), teachers=teachers)

    def run(self, allocation: str, seed: int, suite: str, completion: str = COMPLETION) -> dict[str, Any]:
        """Blocks, labels and one score; as a report tells of a run, and its outcomes."""
        route = compile_route(Allocation.parse(allocation), self.recipe, seed)
        for block in route.blocks:
            self._publish(block)
        for stage in dict.fromkeys(block.stage for block in route.blocks if block.new_labels):
            ids = [label for block in route.blocks if block.stage == stage for label in block.new_labels]
            self.ledger.book(STUDY, seed, f"{route.allocation.id}:{route.final}", stage, ids, 16)
        weights = weights_of(route.final)
        table = samples(SKILLS.get(allocation, 0.3), completion, suite)
        key = ScoreKey(weights, suite, {"name": "sampled"}, 2, 0, "made up", "made up")
        self.scores.save(key, table, Making(gpu_seconds=0.5))
        return {
            "seed": seed, "blocks": [block.key for block in route.blocks], "weights_sha256": weights, "score": key.key,
            "gpu_seconds_full": 5.0 * len(route.blocks), "labels_trained": len(route.labels_trained),
            "outcomes": table["correct"].to_numpy(int).reshape(-1, 2), "route_key": route.key,
        }  # fmt: skip

    def _publish(self, block: Block) -> None:
        if self.store.record(block.key) is not None:
            return
        record = made_record(
            block.key, stage=block.stage, index=block.index, model=block.model, run_seed=block.run_seed,
            gpu_seconds=5.0, weights_sha256=weights_of(block.key), stage_start=block.stage_start,
            parent=block.parent, parent_weights_sha256=weights_of(block.parent),
            teacher=block.teacher, teacher_weights_sha256=weights_of(str(block.teacher)),
            labels_new=len(block.new_labels), labels_pool=len(block.pool),
        )  # fmt: skip
        curves = {"step": [1, 2, 3], "reward": [0.1, 0.2, 0.3], "seconds": [0.5] * 3, "tokens_seen": [10, 20, 30]}

        def write(folder: Path) -> BlockRecord:
            pd.DataFrame(curves).to_parquet(folder / "train.parquet", index=False)
            return record

        self.store.publish(block.key, write)


def samples(skill: float, completion: str, suite: str, problems: int = 20) -> pd.DataFrame:
    correct = np.random.default_rng(0).random(problems * 2) < skill
    count = len(correct)
    return pd.DataFrame(
        {
            "problem_id": np.repeat([f"{suite}-{i:02d}" for i in range(problems)], 2),
            "sample": np.tile([0, 1], problems), "completion": [completion] * count, "extracted": ["7"] * count,
            "verdict": np.where(correct, "correct", "wrong"), "correct": correct, "num_tokens": [5] * count,
            "truncated": [False] * count, "level": np.repeat(np.arange(problems) % 2 + 1, 2),
            "subject": ["sums"] * count,
        }
    )  # fmt: skip


def trial(number: int, allocation: str, run: dict[str, Any], **changes: Any) -> FrozenTrial:
    score = avg_at_k(run["outcomes"])
    made = create_trial(
        state=TrialState.COMPLETE,
        value=score.mean,
        user_attrs={
            "allocation": allocation, "route_key": run["route_key"], "se_problems": score.se_problems,
            "se_samples": score.se_samples, "labels_trained": run["labels_trained"],
            "gpu_seconds_full": run["gpu_seconds_full"], "gpu_seconds_marginal": 5.0,
            "blocks_requested": len(run["blocks"]), "blocks_executed": 1, "weights_sha256": run["weights_sha256"],
            **changes,
        },
    )  # fmt: skip
    made.datetime_start = datetime(2026, 1, 1) + timedelta(seconds=number)
    made.datetime_complete = made.datetime_start + timedelta(seconds=10)
    return made


def make_study(results: Path, completion: str = COMPLETION, tested: bool = True) -> Path:
    """A study of three trials, one that failed and one that is running, tested on one seed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    maker, folder = Maker(results), results / "studies" / STUDY
    (folder / "logs").mkdir(parents=True)
    study = open_study(STUDY, f"sqlite:///{folder / 'study.db'}", "sha", 0)
    searched = [UPSTREAM, HALF, DIRECT]
    runs = [maker.run(text, 0, "made-validation@1", completion) for text in searched]
    for number, (text, run) in enumerate(zip(searched, runs, strict=True)):
        study.add_trial(trial(number, text, run))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"allocation": HALF, "error": "BlockError: full"}))
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={"allocation": HALF_REPLAY}))
    study.set_user_attr("trials_wanted", 8)
    for suite in ("made-validation@1", "made-test@1"):
        asked = [Problem(f"{suite}-{i:02d}", f"{completion} What is ${i}+{i}$?", str(2 * i)) for i in range(20)]
        keep_statements(ResultsFolder(results).statements, suite, asked)
    (folder / "logs" / "trial-0000.log").write_text("a line of the log\n")
    part = tested_part(maker) if tested else {}
    report = search_report(study=STUDY, command="tuition search --scenario made --trials 5", **part)
    write_report(report, folder / "report.json")
    return results


def tested_part(maker: Maker) -> dict[str, Any]:
    named = {"upstream = search #0": UPSTREAM, "half = search #1": HALF, "direct": DIRECT, "half-replay": HALF_REPLAY}
    runs = {name: maker.run(text, 1000, "made-test@1") for name, text in named.items()}
    outcomes = {name: [run.pop("outcomes")] for name, run in runs.items()}
    pairwise = pairwise_differences(outcomes)
    rows = [
        Row(
            name, text, "finalist" if "search" in name else "baseline", score_over_seeds(outcomes[name]),
            None if name == "direct" else paired_difference(outcomes[name], outcomes["direct"]),
            0.8 if "search" in name else None, runs[name]["labels_trained"], runs[name]["gpu_seconds_full"], (1000,),
        )
        for name, text in named.items()
    ]  # fmt: skip
    pairs = [
        Pair(
            a=a, b=b, difference=difference, p_value_holm=1.0, sign_flip=sign_flip(outcomes[a], outcomes[b]),
            these_problems=None,
        )
        for (a, b), difference in pairwise.items()
    ]  # fmt: skip
    meta = Meta(STUDY, "made-test@1", "sampled", 20, 36)
    test = evaluation({name: [run] for name, run in runs.items()}, pairwise=tuple(pairs))
    return {"leaderboard": to_json(rank_rows(rows, pairwise), meta), "test": test}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, for tests that only read it."""
    return make_study(tmp_path_factory.mktemp("made") / "results")


Open = Callable[..., AppTest]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Show a page over a results folder, as a URL with these parameters does."""
    # Streamlit puts its script there, and a process that a later test starts would run it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def script(page: str, results: str) -> None:
        from pathlib import Path

        import streamlit as st

        from tuition.app.dashboard.data import caches
        from tuition.app.dashboard.data.study_frames import study_names
        from tuition.app.dashboard.main import PAGES
        from tuition.app.dashboard.show import View, name_unreadable

        names = study_names(Path(results))
        study = caches.study(Path(results), names[0]) if names else None
        name_unreadable(study.unreadable if study is not None else ())
        st.session_state["pages"] = {}
        PAGES[page][1](View(Path(results), study))

    def open_page(page: str, results: Path, **parameters: str) -> AppTest:
        test = AppTest.from_function(script, args=(page, str(results)), default_timeout=60)
        for name, value in parameters.items():
            test.query_params[name] = value
        return test.run()

    return open_page


def text(test: AppTest) -> str:
    """Everything that a page says, in Markdown."""
    assert not test.exception, test.exception
    kinds = (test.title, test.subheader, test.markdown, test.caption, test.info, test.warning, test.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
