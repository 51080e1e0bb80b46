"""`tuition what-if`: predictions beyond the scores, what labels and money would buy, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.app.advice.made_study import NAME, made_study, opened, score
from tests.app.conftest import Command
from tuition.app.advice.advice_tables import show_what_if
from tuition.app.advice.opened_study import OpenedStudy
from tuition.app.advice.what_if import Predicted, Question, WhatIf, WhatIfError, what_if
from tuition.planner.allocation import Allocation
from tuition.planner.space import SpaceError

DEAR = Question(money=50.0, label_price=1.0, gpu_hour_price=2.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_study(tmp_path_factory.mktemp("asked"), trials=10)


@pytest.fixture(scope="module")
def study(results: Path) -> OpenedStudy:
    return opened(results)


@pytest.fixture(scope="module")
def found(study: OpenedStudy) -> WhatIf:
    question = Question(("student_rl=3", "student_rl=4", "student_rl=6", "student_rl=8"), gain=4.0)
    return what_if(study, question)


def width(one: Predicted) -> float:
    return one.high - one.low


def test_intervals_widen_with_the_distance_from_the_scores_which_is_said(study: OpenedStudy, found: WhatIf) -> None:
    most = max(Allocation.parse(str(one.checkpoint)).student_rl for one in study.observed)
    three, four, six, eight = found.predicted
    assert [one.labels for one in found.predicted] == [12, 16, 24, 32]
    assert six.extrapolation == 6 / most and eight.extrapolation == 8 / most
    assert width(four) < width(six) <= width(eight) + 0.02
    for one in (three, four):
        assert one.low - 0.05 < score(Allocation.parse(one.allocation)) < one.high + 0.05


def test_the_next_blocks_are_those_of_the_first_allocation(found: WhatIf) -> None:
    [block] = found.next_blocks
    assert (block.stage, block.allocation, block.labels) == ("student_rl", "student_rl=4", 4)
    mean, low, high = block.gain_points
    assert low < mean < high and 0 < mean < 25, "a label block was worth 11 points so far"


def test_labels_for_a_gain_are_more_than_the_study_has(found: WhatIf) -> None:
    needed = found.needed
    assert needed.furthest == 32 and needed.labels is not None and 16 < needed.labels <= 32
    assert needed.low is not None and needed.low <= needed.labels <= (needed.high or 36)
    assert needed.allocation is not None
    assert Allocation.parse(needed.allocation).label_blocks * 4 <= needed.labels


def test_money_buys_labels_only_where_they_are_paid_for(study: OpenedStudy) -> None:
    rich = what_if(study, DEAR).best_use
    assert rich is not None and 0 < rich.cost <= 50 and rich.new_labels > 0
    assert rich.new_labels == rich.predicted.labels - 16
    poor = what_if(study, replace(DEAR, money=3.0)).best_use
    assert poor is not None and poor.new_labels == 0 and poor.cost <= 3
    assert poor.predicted.mean <= rich.predicted.mean
    assert rich.over_trained_points is not None and rich.over_trained_points[0] > 0


def test_a_teacher_and_a_number_of_labels_narrow_the_question(study: OpenedStudy) -> None:
    best = what_if(study, Question(labels=11, teacher="medium")).best
    allocation = Allocation.parse(best.allocation)
    assert best.labels == 8 and allocation.label_blocks == 2 and allocation.teacher == "medium"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(("student_rl=9",)), "beyond 2 times as many"),
        (Question(labels=100), "--labels 100 is 100 labels"),
        (Question(labels=3), "a block has 4 labels"),
        (Question(teacher="nobody"), "the study knows medium"),
        (Question(money=5.0), "without a price"),
        (Question(label_price=5.0), "without a sum"),
    ],
)
def test_what_the_scores_cannot_say_is_refused(study: OpenedStudy, question: Question, message: str) -> None:
    with pytest.raises(WhatIfError, match=message) as error:
        what_if(study, question)
    assert len(str(error.value).splitlines()) == 1


def test_an_allocation_that_no_space_holds_is_refused(study: OpenedStudy) -> None:
    with pytest.raises(SpaceError, match="not in the search space"):
        what_if(study, Question(("teacher=medium warmup=9 student_rl=1",)))


def test_the_command_says_the_same(results: Path, study: OpenedStudy, tuition: Command) -> None:
    command = ("what-if", NAME, "student_rl=6", "--results", str(results), "--json")
    done = tuition(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == what_if(study, Question(("student_rl=6",))).model_dump(mode="json")


def test_on_the_terminal_every_answer_is_a_line(
    study: OpenedStudy, found: WhatIf, capsys: pytest.CaptureFixture[str]
) -> None:
    show_what_if(found.model_copy(update={"best_use": what_if(study, DEAR).best_use}))
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "With 16 labels the best would be",
        "2 times",
        "more labels to student_rl",
        "For +4 points:",
        "50 is",
    ):
        assert words in shown
