"""Grading: the verdicts, the fast path against math-verify, limits, threads, forks, and the worker's end."""

import functools
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from tuition.benchmarks.grading.crew import MAX_BATCH
from tuition.benchmarks.grading.grader import MAX_CHARACTERS, GraderClosed, Verdict, as_formula
from tuition.benchmarks.grading.grader import Grader as AnyGrader
from tuition.benchmarks.grading.policies import GRADER_VERSION
from tuition.benchmarks.grading.worker import MEMORY_BYTES

pytestmark = pytest.mark.slow  # together; each starts workers
Grader = functools.partial(AnyGrader, policy="math-verify")
"""Its shortcuts are held to math-verify itself here; tuition-2 has its own tests."""
ROOT = Path(__file__).resolve().parents[3]
TOWER = "so it is \\boxed{9^{9^{9^{9}}}}"


@pytest.fixture(scope="module")
def grader() -> Iterator[AnyGrader]:
    with Grader(timeout_seconds=20) as one:
        yield one


def workers() -> set[int]:
    return {child.pid for child in psutil.Process().children() if is_worker(child)}


def is_worker(child: psutil.Process) -> bool:
    try:
        return any(part.endswith("grading/worker.py") for part in child.cmdline())
    except psutil.NoSuchProcess:  # a killed worker is a zombie, without a command line, until somebody waits for it
        return False


def verdict_of_math_verify(gold: str, completion: str) -> tuple[Verdict, str | None]:
    """math-verify as it comes, but for its time-outs, which would disturb pytest's."""
    predictions = parse(completion, parsing_timeout=None)
    if not predictions:
        return Verdict.no_answer, None
    correct = verify(parse(as_formula(gold), parsing_timeout=None), predictions, timeout_seconds=None)
    return (Verdict.correct if correct else Verdict.wrong), str(predictions[-1])


@pytest.mark.parametrize(
    ("gold", "completion", "verdict", "extracted"),
    [
        ("70", "12+58=70 \\boxed{70}", Verdict.correct, "70"),
        ("70", "12+58=71 \\boxed{71}", Verdict.wrong, "71"),
        ("-7", "\\boxed{-7}", Verdict.correct, "-7"),
        ("70", "", Verdict.no_answer, None),
        ("70", "I do not know.", Verdict.no_answer, None),
        ("70", "12+58=70", Verdict.correct, "70"),
        ("70", "\\boxed{70", Verdict.no_answer, None),
        ("\\frac{1}{2}", "It is $\\boxed{0.5}$.", Verdict.correct, "\\frac{1}{2}"),
        ("$\\frac{1}{2}$", "\\boxed{\\frac{2}{4}}", Verdict.correct, "\\frac{2}{4}"),
        ("70", "\\boxed{60}" + " That was wrong." * 5 + " \\boxed{70}", Verdict.correct, "70"),
        ("60, 70", "\\boxed{60}, \\boxed{70}", Verdict.correct, "60,70"),
        ("x+1", "\\boxed{1+x}", Verdict.correct, "1+x"),
    ],
)
def test_verdict_and_extracted_answer(
    grader: AnyGrader, gold: str, completion: str, verdict: Verdict, extracted: str | None
) -> None:
    grade = grader.grade(gold, completion)
    assert (grade.verdict, grade.extracted) == (verdict, extracted)
    assert grade.seconds >= 0
    assert grade.correct is (verdict is Verdict.correct)


integers = st.integers(-(10**15) + 1, 10**15 - 1) | st.integers(-20, 20)
pieces = st.sampled_from([*"0123456789+=, {}", "\n", ".", "-", "a", "$", "[", "] ", "²", "٣", "final answer is ", "%"])
filler = st.lists(pieces, max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(filler, integers, filler, st.booleans(), integers)
@example("final answer is 7. ", 5, "", False, 7)
@example("final answer is ", 5, " I hope", True, 0)
@example("$3+", 5, "$", True, 0)
@example(" [ 4 ] ", 5, " } 7}", True, 0)
@example("", 999999999999999, "", False, 999999999999998)
@example("", 0, "", True, 0)
def test_a_boxed_integer_gets_math_verifys_verdict(
    grader: AnyGrader, before: str, answer: int, after: str, right: bool, other: int
) -> None:
    gold, completion = str(answer if right else other), f"{before}\\boxed{{{answer}}}{after}"
    grade = grader.grade(gold, completion)
    assert (grade.verdict, grade.extracted) == verdict_of_math_verify(gold, completion)


@settings(max_examples=150, deadline=None)
@given(integers, st.booleans(), integers, st.sampled_from(["", "$"]))
@example(0, True, 0, "")
@example(-7, False, 7, "$")
@example(-7, False, 7, "")
@example(100000000000000, True, 0, "")
def test_a_lone_integer_gets_math_verifys_verdict(
    grader: AnyGrader, answer: int, right: bool, other: int, dollar: str
) -> None:
    gold, completion = str(answer if right else other), f"{dollar}{answer}{dollar}"
    grade = grader.grade(gold, completion)
    assert (grade.verdict, grade.extracted) == verdict_of_math_verify(gold, completion)


FORMULAS = [
    "\\frac{1}{2}", "0.5", "50\\%", "2x+1", "1+2x", "x=3", "3", "\\{1,2\\}", "1,2", "(1,2)", "[1,2)", "x^2=4",
    "\\sqrt{2}", "2<x<3", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\text{Evelyn}", "\\infty", "i+1", "-\\frac{5}{3}.",
]  # fmt: skip
TEMPLATES = ["${}$", "so \\(y = 7\\) and \\[\\boxed{{{}}}\\]", "The final answer is ${}$. I hope", "it is {}"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMULAS), st.sampled_from(FORMULAS), st.sampled_from(TEMPLATES))
def test_what_was_parsed_or_compared_before_gets_math_verifys_verdict(
    grader: AnyGrader, gold: str, answer: str, template: str
) -> None:
    # One worker meets few golds and answers again and again, in ever new texts.
    completion = template.format(answer)
    grade = grader.grade(gold, completion)
    assert (grade.verdict, grade.extracted) == verdict_of_math_verify(gold, completion)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30) | filler)
def test_text_without_a_box_gets_math_verifys_verdict(grader: AnyGrader, completion: str) -> None:
    grade = grader.grade("12", completion)
    assert (grade.verdict, grade.extracted) == verdict_of_math_verify("12", completion)


def test_plain_integers_and_empty_answers_need_no_worker() -> None:
    before = workers()
    with Grader() as fresh:
        fresh.grade_many(["7", "7", "7"], ["3+4=7 \\boxed{7}", "3+4=8 \\boxed{8}", "no digits here"])
        assert workers() == before
        fresh.grade("7", "3+4=7")
        assert len(workers() - before) == 1
    assert workers() == before


def test_grade_many_keeps_the_order(grader: AnyGrader) -> None:
    completions = [f"\\boxed{{{n}}}" if n % 2 else f"$\\frac{{{2 * n}}}{{2}}$" for n in range(10)]
    grades = grader.grade_many([str(n) for n in range(10)], completions)
    assert [grade.verdict for grade in grades] == [Verdict.correct] * 10
    assert grades[1].extracted == "1" and grades[2].extracted == "\\frac{4}{2}"


def test_a_slow_answer_holds_up_no_other_worker() -> None:
    before = workers()
    with Grader(timeout_seconds=60, workers=2) as two:
        slow = two.submit("5", TOWER)
        others = [two.submit(str(n), f"so $\\frac{{{2 * n}}}{{2}}$") for n in range(60)]
        # Only what is behind it in the same pipe waits, for its limit at most.
        while sum(other.done() for other in others) < len(others) - MAX_BATCH + 1:
            time.sleep(0.01)
        assert not slow.done()
        assert len(workers() - before) == 2
    with pytest.raises(GraderClosed):
        slow.result()
    assert workers() == before


def test_answers_behind_a_slow_one_in_the_same_pipe_are_graded() -> None:
    with Grader(timeout_seconds=2, workers=1) as one:
        golds = [str(n) for n in range(12)]
        completions = [TOWER if n == 5 else f"$\\frac{{{2 * n}}}{{2}}$" for n in range(12)]
        verdicts = [grade.verdict for grade in one.grade_many(golds, completions)]
    assert verdicts == [Verdict.timeout if n == 5 else Verdict.correct for n in range(12)]


def test_long_completions_on_both_sides_of_the_pipes_do_not_lock_up() -> None:
    # Each is larger than a pipe holds, and so is what math-verify reads as its answer.
    texts = [f"$\\text{{{chr(97 + n) * 90_000}}}$" for n in range(6)]
    with Grader(timeout_seconds=60) as one:
        grades = one.grade_many(["5"] * 6, texts)
    assert [grade.verdict for grade in grades] == [Verdict.wrong] * 6
    assert all(len(grade.extracted or "") >= 90_000 for grade in grades)


def test_several_workers_agree_with_one(grader: AnyGrader) -> None:
    golds = [gold for gold in FORMULAS[:8] for _ in range(8)]
    completions = [f"${answer}$" for _ in range(8) for answer in FORMULAS[4:12]]
    with Grader(timeout_seconds=60, workers=3) as three:
        several = three.grade_many(golds, completions)
    one = grader.grade_many(golds, completions)
    assert [(g.verdict, g.extracted) for g in several] == [(g.verdict, g.extracted) for g in one]


def test_closing_while_another_thread_grades_is_an_error_there_and_no_verdict() -> None:
    one = Grader(timeout_seconds=60)
    assert one.grade("5", "1+4=5").correct
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(one.grade_many, ["5"] * 3, [TOWER, TOWER + " ", TOWER + "  "])
        while not (one._crew is not None and one._crew._busy):
            time.sleep(0.01)
        one.close()
        with pytest.raises(GraderClosed):
            answer.result()
    assert one.grade("6", "2+4=6").correct
    one.close()


def test_an_endless_answer_is_a_timeout_and_the_next_one_is_graded() -> None:
    before = workers()
    with Grader(timeout_seconds=0.5) as short:
        assert short.grade("5", TOWER).verdict is Verdict.timeout
        while workers() != before:  # the verdict does not wait for the kernel to take the dead worker away
            time.sleep(0.01)
        assert short.grade("5", "1+4=5").verdict is Verdict.correct


def test_an_endless_answer_that_comes_again_kills_no_second_worker() -> None:
    before = workers()
    with Grader(timeout_seconds=0.5) as short:
        short.grade("5", TOWER)
        short.grade("5", "1+4=5")
        worker = workers() - before
        assert short.grade("5", TOWER).verdict is Verdict.timeout
        assert workers() - before == worker


def test_a_worker_that_dies_on_an_answer_is_a_timeout_and_is_replaced() -> None:
    before = workers()
    with Grader(timeout_seconds=60) as one:
        assert one.grade("5", "1+4=5").correct
        (worker,) = workers() - before
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(one.grade, "5", TOWER)
            while psutil.Process(worker).cpu_percent(0.1) < 10 and not answer.done():
                pass
            psutil.Process(worker).kill()
            assert answer.result().verdict is Verdict.timeout
        assert one.grade("6", "2+4=6").correct


def test_a_worker_that_dies_idle_costs_no_answer() -> None:
    before = workers()
    with Grader() as one:
        assert one.grade("5", "1+4=5").correct
        (worker,) = workers() - before
        psutil.Process(worker).kill()
        psutil.Process(worker).wait()
        assert one.grade("6", "2+4=6").correct


def test_only_the_tail_of_a_very_long_completion_is_graded(grader: AnyGrader) -> None:
    padding = "a " * MAX_CHARACTERS
    assert grader.grade("5", "\\boxed{5}" + padding).verdict is Verdict.no_answer
    assert grader.grade("5", padding + "\\boxed{5}").verdict is Verdict.correct


def test_many_threads_share_one_grader(grader: AnyGrader) -> None:
    with ThreadPoolExecutor(8) as pool:
        grades = list(pool.map(lambda n: grader.grade(str(n), f"so {n}*1={n + n % 2}"), range(40)))
    assert [grade.correct for grade in grades] == [n % 2 == 0 for n in range(40)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_grades_with_a_worker_of_its_own() -> None:
    with Grader() as one:
        one.grade("5", "1+4=5")
        # The lock is held by another thread at the time of the fork.
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            assert one._crew is not None
            with one._lock, one._crew._lock:
                holding.set()
                release.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        holding.wait()
        child = os.fork()
        if child == 0:
            os._exit(0 if one.grade("6", "3+3=6").correct else 1)
        release.set()
        thread.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert one.grade("7", "3+4=7").correct


def test_no_worker_outlives_a_killed_parent() -> None:
    # One of the two is idle, the other at work on an endless answer: the kernel ends that one soon after its limit.
    script = """
        import os, psutil, signal, time
        from tuition.benchmarks.grading.grader import Grader
        grader = Grader(timeout_seconds=3, workers=2, policy="math-verify")
        slow = grader.submit("5", "so it is \\\\boxed{9^{9^{9^{9}}}}")
        while len(psutil.Process().children()) < 2:
            grader.grade("5", f"1+4=5 {time.monotonic()}")
        assert not slow.done()
        print(*(child.pid for child in psutil.Process().children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    deadline = time.monotonic() + 30
    for pid in pids:
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "a worker is still there"
            time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process can be read on Linux")
def test_the_kernel_limits_the_memory_of_a_worker() -> None:
    before = workers()
    with Grader() as one:
        one.grade("5", "1+4=5")
        (worker,) = workers() - before
        assert psutil.Process(worker).rlimit(psutil.RLIMIT_AS) == (MEMORY_BYTES, MEMORY_BYTES)


@pytest.mark.parametrize("gold", ["", "  "])
def test_an_empty_gold_answer_is_an_error(grader: AnyGrader, gold: str) -> None:
    with pytest.raises(ValueError, match="checked answer"):
        grader.grade(gold, "\\boxed{5}")


def test_lists_of_different_lengths_are_an_error(grader: AnyGrader) -> None:
    with pytest.raises(ValueError, match="2 gold answers for 1 completions"):
        grader.grade_many(["1", "2"], ["1"])


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_of_nothing_or_without_end_is_an_error(limit: float) -> None:
    with pytest.raises(ValueError, match=f"timeout_seconds is {limit}"):
        Grader(timeout_seconds=limit)


def test_no_workers_is_an_error() -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        Grader(workers=0)


def test_the_version_names_math_verify() -> None:
    assert "math-verify-" in GRADER_VERSION
