"""What a study recommends, in words a manager understands. Selection is by validation score alone, as in the search.

Simplified: the cost of a next step is that of similar steps before it; blocks already in the store make it cheaper.
"""

import math
import shlex
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from tuition.app.dashboard import words
from tuition.app.dashboard.data.files import records
from tuition.app.dashboard.data.study_frames import StudyFrames, parse
from tuition.benchmarks.baselines import DIRECT, OPPOSITE
from tuition.benchmarks.boards.ranked_rows import NO_RANKS, RankedRow
from tuition.benchmarks.statistics.intervals import Difference
from tuition.planner.allocation import Allocation, AllocationError, replay_control

MOST_LOOKED_AT = 100  # trials among which the two best distinct routes surely are
RECENT_TRIALS = 10  # our choice: the price of one more trial is the mean of so many


@dataclass(frozen=True)
class Split:
    """How a route spends the budget, in labels. None where no complete trial tells how many labels a block has."""

    teacher: int | None
    student: int | None
    unspent: int | None


@dataclass(frozen=True)
class Choice:
    """An allocation that the search puts forward; `row` is its tested row, None before the test."""

    allocation: Allocation
    name: str
    row: RankedRow | None
    validation: float
    se_validation: float | None


@dataclass(frozen=True)
class Comparison:
    """The recommended row against another: a sentence, and the difference it states."""

    other: str
    sentence: str
    difference: Difference


@dataclass(frozen=True)
class NextStep:
    """A command worth giving next, why, and what it would cost."""

    why: str
    command: str
    cost: str


def split(study: StudyFrames, allocation: Allocation) -> Split:
    """An allocation in labels."""
    each, budget = study.labels_per_block, study.budget
    if each is None:
        return Split(None, None, None)
    teacher, student = allocation.teacher_label_blocks * each, allocation.student_label_blocks * each
    return Split(teacher, student, None if budget is None else max(0, budget - teacher - student))


def rows_by_allocation(study: StudyFrames) -> dict[str, RankedRow]:
    """The tested rows by their allocation: the one of blocks, where a table has an ordinary run as well."""
    ordinary_first = sorted(study.rows, key=lambda ranked: not ranked.row.shuffled)
    return {ranked.row.allocation: ranked for ranked in ordinary_first}


def choices(study: StudyFrames) -> list[Choice]:
    """The recommended allocation and the runner-up: the best distinct routes by validation score ([] before any)."""
    found: list[Choice] = []
    seen: set[str] = set()
    rows = rows_by_allocation(study)
    for trial in records(study.complete.drop_duplicates("route_key").head(MOST_LOOKED_AT)):
        allocation = parse(trial["allocation"]) if trial["allocation"] else None
        same = trial["route_key"] or trial["allocation"]
        if allocation is None or same in seen:
            continue
        seen.add(same)
        error = None if math.isnan(trial["se_problems"]) else float(trial["se_problems"])
        row = rows.get(str(allocation))
        name = f"search #{trial['number']}" + (", told from outside" if trial["told_from_outside"] else "")
        found.append(Choice(allocation, name, row, float(trial["score"]), error))
        if len(found) == 2:
            break
    return found


def comparisons(study: StudyFrames, choice: Choice) -> list[Comparison]:
    """The recommended row against direct GRPO, the opposite split and its replay control, as far as they are tested."""
    if choice.row is None:
        return []
    rows = {ranked.row.name: ranked.row for ranked in study.rows}
    own, found = choice.row.row, []
    if DIRECT in rows and own.name != DIRECT:
        difference = study.difference(own.name, DIRECT) or own.difference
        if difference is not None:
            text = f"{words.points(difference)} over direct GRPO {_labels(rows[DIRECT].labels_trained, own)}"
            found.append(Comparison(DIRECT, text, difference))
    if OPPOSITE in rows and own.name != OPPOSITE and own.name != DIRECT:
        difference = study.difference(own.name, OPPOSITE)
        if difference is not None:
            text = f"{words.points(difference)} over the opposite split (raw-teacher bridge, all labels to the student)"
            found.append(Comparison(OPPOSITE, text, difference))
    try:
        tested = rows_by_allocation(study).get(str(replay_control(choice.allocation)))
    except AllocationError:
        tested = None
    if tested is not None:
        control = tested.row
        difference = study.difference(own.name, control.name)
        if difference is not None:
            text = f"{words.points(difference)} over its replay control (the same steps, no new labels for the student)"
            found.append(Comparison(control.name, text, difference))
    return found


def _labels(theirs: int, own: Any) -> str:
    if theirs == own.labels_trained:
        return f"with the same {words.whole(theirs, 'label')}"
    return f"with {words.whole(theirs, 'label')} instead of {own.labels_trained:,}"


def uncertain(study: StudyFrames, found: list[Choice]) -> list[str]:
    """What the numbers do not settle, one sentence each."""
    lines = []
    best = found[0] if found else None
    if best is None:
        return ["No trial is complete yet."]
    if best.row is None:
        lines.append("Not tested yet: this split was selected by its validation score, which is therefore optimistic.")
    elif best.row.row.score.num_seeds == 1:
        lines.append("One training run: the intervals exclude training variance, and retraining may change the order.")
    for comparison in comparisons(study, best):
        if comparison.difference.low <= 0 <= comparison.difference.high:
            lines.append(f"The difference to {words.code(comparison.other)} may be zero: its interval includes zero.")
    if best.row is not None and best.row.rank_first is None:
        lines.append(f"{NO_RANKS.capitalize()}.")
    if best.row is not None and best.row.rank_first != best.row.rank_last:
        lines.append(
            f"Its rank among the tested entries is {best.row.rank}: not all differences to the others are significant."
        )
    if best.row is not None and best.row.rank_first not in (None, 1):
        leader = next(ranked.row.name for ranked in study.rows if ranked.rank_first is not None)
        lines.append(f"On the test suite, {words.code(leader)} did better than the recommended split.")
    failed = int((study.trials["state"] == "fail").sum())
    if failed:
        lines.append(f"{words.whole(failed, 'trial')} failed and provide no evidence about their splits.")
    running = int((study.trials["state"] == "running").sum())
    if running:
        lines.append(f"{words.whole(running, 'trial is', 'trials are')} running: the recommendation may change.")
    return lines


def runner_up_sentence(study: StudyFrames, found: list[Choice]) -> str | None:
    """The recommended split against the runner-up; None without one."""
    if len(found) < 2:
        return None
    best, second = found
    if best.row is not None and second.row is not None:
        difference = study.difference(best.row.row.name, second.row.row.name)
        if difference is not None:
            return f"Recommended minus runner-up on the test suite: {words.points(difference)}."
    gap = 100 * (best.validation - second.validation)
    return f"It is {words.value(gap)} points behind on validation. No interval: both were selected by that score."


def next_steps(study: StudyFrames, found: list[Choice]) -> list[NextStep]:
    """What to run next, most useful first."""
    command = (study.report.command if study.report is not None else None) or ""
    steps: list[NextStep] = []
    several = [len(ranked.row.seeds) for ranked in study.rows if ranked.row.seeds]
    is_search = command.startswith("tuition search")
    if is_search and (not several or min(several) < 3):
        full = [ranked.row.gpu_seconds for ranked in study.rows]
        wanted = 3 - (min(several) if several else 0)
        cost = ""
        if full:
            cost = f"at most {words.seconds(wanted * sum(full))} GPU-seconds, as measured; shared prefixes reduce it"
        steps.append(
            NextStep(
                "Retrain the finalists and baselines on three seeds: then rows have ranks, and errors include training "
                "variance.",
                with_option(command, "--test-seeds", "3"), cost or "three times the finalists' full cost",
            )
        )  # fmt: skip
    recent = study.proposed[study.proposed["state"] == "complete"].tail(RECENT_TRIALS)["gpu_seconds_marginal"].dropna()
    if is_search and len(recent):
        trials = int(study.proposed["state"].isin(["complete", "fail", "pruned"]).sum())
        steps.append(
            NextStep(
                "Continue the search: more trials reuse the stored blocks.",
                with_option(command, "--trials", str(trials + RECENT_TRIALS)),
                f"about {words.seconds(RECENT_TRIALS * fmean(recent))} GPU-seconds for {RECENT_TRIALS} more trials, "
                "estimated from the last ones",
            )
        )
    return steps


def with_option(command: str, option: str, value: str) -> str:
    """A command with an option set to a value; added at the end if absent."""
    try:
        parts = shlex.split(command)
    except ValueError:
        return command
    kept, skip = [], False
    for part in parts:
        if skip:
            skip = False
        elif part == option:
            skip = True
        elif not part.startswith(f"{option}="):
            kept.append(part)
    return shlex.join([*kept, option, value])


def reuse_sentence(trials: pd.DataFrame) -> str | None:
    """What sharing blocks saved a study, in one line; None before a trial is complete."""
    done = trials[trials["state"] == "complete"]
    full, spent = done["gpu_seconds_full"].sum(), done["gpu_seconds_marginal"].sum()
    requested, trained = done["blocks_requested"].sum(), done["blocks_executed"].sum()
    if not requested or not full:
        return None
    return (
        f"Reuse saved {words.seconds(full - spent)} of {words.seconds(full)} GPU-seconds "
        f"({(full - spent) / full:.0%}): {words.whole(len(done), 'trial')} requested "
        f"{words.whole(requested, 'block')}, of which {trained:,.0f} were trained."
    )
