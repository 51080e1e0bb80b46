"""`tuition recommend --plots`: pictures show what the study's posterior and scores say, and the numbers beside too."""

import json
import math
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from tests.app.advice.made_study import NAME, made_study, opened
from tests.app.advice.replayed_study import replayed_study
from tests.app.conftest import Command
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.pictures.front import draw_front, front_frame, undominated
from tuition.app.advice.pictures.hours import hours_axis
from tuition.app.advice.pictures.writing import PICTURES, PictureError, write_pictures
from tuition.app.advice.recommendation import Recommendation, recommend
from tuition.app.advice.what_if import Question, what_if
from tuition.app.costs.route_prices import RoutePrices
from tuition.app.dashboard.charts import LIGHT
from tuition.planner.allocation import Allocation
from tuition.planner.trials import Trials

NAMES = [picture.name for picture in PICTURES]
DRAWN = 0.7
"""Points: two means of some 2,000 draws differ by less."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> OpenedStudy:
    return replayed_study(tmp_path_factory.mktemp("replayed"), "micro-b", budget=1.0)


@pytest.fixture(scope="module")
def frames(study: OpenedStudy) -> dict[str, pd.DataFrame]:
    return {picture.name: picture.frame(study) for picture in PICTURES}


@pytest.fixture(scope="module")
def said(study: OpenedStudy) -> Recommendation:
    return recommend(study, gpu_hours=1.0)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of another sampler, without scores of base models."""
    return made_study(tmp_path_factory.mktemp("made"), trials=6)


def scores(study: OpenedStudy) -> dict[str, float]:
    return {str(one.checkpoint): 100 * one.value for one in study.observed}


@pytest.mark.parametrize("name", ["share", "learning"])
def test_curves_hold_the_posterior_and_every_score_that_lies_on_them(
    study: OpenedStudy, frames: dict[str, pd.DataFrame], name: str
) -> None:
    frame, seen = frames[name], scores(study)
    posterior = frame[frame["kind"] == "posterior"]
    assert ((posterior["low_percent"] < posterior["score_percent"]) & posterior["se_points"].isna()).all()
    assert (posterior["score_percent"] < posterior["high_percent"]).all()
    for row in posterior[~posterior["checkpoint"].str.startswith("base")].to_dict("records"):
        on_curve = frame[(frame["checkpoint"] == row["checkpoint"]) & (frame["kind"] == "score")]
        assert set(on_curve["score_percent"].round(9)) == {
            round(seen[text], 9) for text in [row["checkpoint"]] if text in seen
        }
        if "student" in row["checkpoint"]:
            predicted = study.view.predict(Allocation.parse(row["checkpoint"]))
            assert row["score_percent"] == pytest.approx(100 * predicted.mean, abs=DRAWN + predicted.sd)


def test_the_share_goes_from_none_to_all_of_the_budget_with_one_bridge(
    study: OpenedStudy, frames: dict[str, pd.DataFrame]
) -> None:
    frame, total = frames["share"], study.space.num_label_blocks
    lines = frame[(frame["kind"] == "posterior") & (frame["teacher"] != "none")]
    assert set(lines["teacher"]) == set(study.space.teachers)
    for _, line in lines.groupby("curve"):
        splits = [Allocation.parse(text) for text in line["checkpoint"]]
        assert [split.teacher_label_blocks for split in splits] == list(range(total + 1)) == list(line["label_blocks"])
        assert {split.label_blocks for split in splits} == {total}
        assert len({(split.warmup, split.opd, split.transfer_sft) for split in splits}) == 1
    beside = frame[frame["kind"] == "score of another bridge"]
    whole = {text for text in scores(study) if "_sft" not in text and _labels(text) == total}
    assert set(beside["checkpoint"]) == whole - set(lines["checkpoint"]) - {f"student_rl={total}"}


def _labels(text: str) -> int:
    return sum(int(word.partition("=")[2]) for word in text.split() if word.startswith(("teacher_rl", "student_rl")))


def test_learning_curves_begin_at_the_base_models_with_their_scores(
    study: OpenedStudy, frames: dict[str, pd.DataFrame]
) -> None:
    frame = frames["learning"]
    begun = frame[(frame["label_blocks"] == 0) & (frame["kind"] == "score")].set_index("checkpoint")["score_percent"]
    known = study.study.user_attrs["untrained"]
    assert begun["base"] == pytest.approx(100 * known["student"]["value"])
    for teacher in study.space.teachers:
        assert begun[f"base:{teacher}"] == pytest.approx(100 * known[teacher]["value"])
    assert (frame["labels"] == frame["label_blocks"] * study.scenario.recipe.labels_per_block).all()
    assert {"teacher_rl", "student_rl"} == set(frame["panel"])


def test_the_next_block_is_worth_what_what_if_says(study: OpenedStudy, frames: dict[str, pd.DataFrame]) -> None:
    frame = frames["next_block"]
    marked = frame[frame["next"]].set_index("stage")
    split = study.view.best().allocation
    asked = {block.stage: block for block in what_if(study, Question((str(split),))).next_blocks}
    assert set(marked.index) == set(asked) and len(marked) == len(asked)
    for stage, block in asked.items():
        row = marked.loc[stage]
        assert row["allocation"] == block.allocation and row["label_blocks"] == getattr(split, stage)
        found = row["gain_points"], row["low_points"], row["high_points"]
        assert found == pytest.approx(block.gain_points, abs=DRAWN)
    for _, line in frame.groupby("stage"):
        assert list(line["label_blocks"]) == list(range(len(line)))


def test_the_front_ends_at_the_recommended_split_from_which_it_is_not_distinguished(
    study: OpenedStudy, frames: dict[str, pd.DataFrame], said: Recommendation
) -> None:
    frame = frames["front"]
    front = frame[frame["front"]].sort_values("gpu_hours")
    assert front["allocation"].iloc[-1] == said.decision.allocation
    assert front["recommended"].sum() == frame["recommended"].sum() == 1
    assert np.all(np.diff(front["score_percent"]) > -DRAWN)
    assert front["gpu_hours"].iloc[-1] == pytest.approx((said.gpu_seconds_full or 0) / 3600, abs=1e-4)
    assert not frame[frame["recommended"]]["distinguished"].any()
    assert frame["distinguished"].any() and not frame["distinguished"].all()
    assert ((frame["behind_low_points"] > 0) <= frame["distinguished"]).all()


def test_where_a_cost_is_unknown_prices_are_in_those_of_the_dearest_route(
    study: OpenedStudy, frames: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoutePrices, "unknown", property(lambda prices: ("warmup",)))
    frame, known = front_frame(study), frames["front"]
    assert frame["gpu_hours"].isna().all() and known["gpu_hours"].notna().all()
    assert frame["price_r"].max() == 1 and frame["price_r"].tolist() == known["price_r"].tolist()
    assert "some costs are unknown" in draw_front(frame, LIGHT).axes[0].get_xlabel()
    assert "GPU-seconds" in draw_front(known, LIGHT).axes[0].get_xlabel()


def test_what_is_dearer_and_no_better_is_dominated() -> None:
    prices, scored = np.array([3.0, 1.0, 2.0, 2.0, 4.0]), np.array([5.0, 1.0, 3.0, 4.0, 5.0])
    assert undominated(prices, scored).tolist() == [1, 3, 0]


def test_the_regret_ends_where_the_recommendation_stands(
    study: OpenedStudy, frames: dict[str, pd.DataFrame], said: Recommendation
) -> None:
    frame, last = frames["regret"], frames["regret"].iloc[-1]
    assert last["allocation"] == said.decision.allocation
    assert last["expected_points"] == pytest.approx(said.decision.expected_regret_points)
    assert last["now_points"] == pytest.approx(last["expected_points"], abs=0.05)
    base = sum(score["gpu_seconds"] for score in study.study.user_attrs["untrained"].values())
    spent = Trials(study.study).refresh().spent_gpu_seconds + base
    assert last["gpu_hours"] == pytest.approx(spent / 3600)
    assert frame["gpu_hours"].is_monotonic_increasing and frame["scores"].is_monotonic_increasing
    assert len(frame) > 1 and frame["scores"].iloc[0] < last["scores"]


@pytest.mark.parametrize("name", NAMES)
def test_everything_of_a_frame_lies_within_the_axes(frames: dict[str, pd.DataFrame], name: str) -> None:
    picture = next(one for one in PICTURES if one.name == name)
    figure = picture.draw(frames[name], LIGHT)
    low, high = zip(*(axes.get_ylim() for axes in figure.axes), strict=True)
    column = {"next_block": "gain_points", "regret": "now_points"}.get(name, "score_percent")
    assert min(low) <= frames[name][column].min() and frames[name][column].max() <= max(high)
    assert all(axes.get_xlabel() for axes in figure.axes) and figure.axes[0].get_ylabel()


def test_pictures_and_numbers_are_written_for_any_study(other: Path, tmp_path: Path, tuition: Command) -> None:
    done = tuition("recommend", NAME, "--results", str(other), "--gpu-hours", "1", "--plots", "new/plots", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["study"] == NAME  # one document, and no paths in it
    folder = tmp_path / "new" / "plots"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{n}.{e}" for n in NAMES for e in ("csv", "png"))
    again = opened(other)
    for picture in PICTURES:
        height, width, _ = matplotlib.image.imread(folder / f"{picture.name}.png").shape
        assert min(height, width) > 500
        pd.testing.assert_frame_equal(
            pd.read_csv(folder / f"{picture.name}.csv"), picture.frame(again).reset_index(drop=True),
            check_dtype=False, rtol=1e-5,
        )  # fmt: skip


def test_too_few_scores_and_a_folder_that_cannot_be_are_refused_in_one_line(tmp_path: Path, tuition: Command) -> None:
    results = made_study(tmp_path, trials=2)
    refused = tuition("recommend", NAME, "--results", str(results), "--plots", "plots")
    assert refused.returncode == 2 and "2 scores, and 4 are needed" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and not (tmp_path / "plots").exists()


def test_a_folder_that_is_a_file_is_refused(study: OpenedStudy, tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("")
    with pytest.raises(PictureError, match=r"--plots .*File exists"):
        write_pictures(study, tmp_path / "plots")


@pytest.mark.parametrize(
    ("hours", "unit", "first"), [(2.0, "GPU-hours", 2.0), (0.5, "GPU-minutes", 30.0), (0.01, "GPU-seconds", 36.0)]
)
def test_times_are_told_in_a_unit_that_people_would_use(hours: float, unit: str, first: float) -> None:
    values, found = hours_axis(pd.Series([hours, hours / 2]))
    assert found == unit and math.isclose(values.iloc[0], first)
