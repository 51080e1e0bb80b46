"""Studies on the terminal: a plan, a search, one run, baselines that are planned, blocked against shuffled training."""

from rich import box
from rich.table import Table

from tuition.app.advice.expectation_tables import show_expectation
from tuition.app.costs.measure_run import MeasuredCosts
from tuition.app.costs.planned_passes import SEEN, percentages, show_passes
from tuition.app.processes.cost_words import basis_text, seconds_text, total_text
from tuition.app.processes.terminal import percent, size_text, terminal, time_text
from tuition.app.studies.baseline_runs import BaselinesPlan
from tuition.app.studies.search_plan import SearchPlan
from tuition.app.studies.single_run import SingleRun
from tuition.app.studies.study_report import PlannedSplit, PlannerAnswer, SearchReport, ShuffledReport, TrialReport
from tuition.benchmarks.boards.ranked_rows import render
from tuition.benchmarks.results_folder import StudyFolder
from tuition.benchmarks.statistics.multiplicity import RANKED_SEEDS
from tuition.runners.route_runner import MUCH_CUT
from tuition.runners.store.block_record import charge_used

MOST_ON_THE_WAY = 8
"""Allocations scored on the way are shown where they are among so many best."""


def show_search(report: SearchReport, folder: StudyFolder) -> None:
    """Trials, what reuse saved, labels, the tested leaderboard, and what to do next."""
    console = terminal()
    console.print(_trials(report))
    much = [(one.truncated_share, f"#{one.number}") for one in report.trials if _is_much(one.truncated_share)]
    if much:
        (share, trial), scored = max(much), sum(one.score is not None for one in report.trials)
        console.print(
            f"warning: in {len(much)} of {scored} scored trials {MUCH_CUT:.0%} or more of the validation "
            f"completions ran into the limit (decoding.max_new_tokens), in {trial} {share:.0%}.",
            soft_wrap=True,
        )
    blocks, labels = report.blocks, report.labels
    expected = blocks.expected_of_random_allocations.distinct_over_requested_blocks
    if blocks.requested:
        console.print(
            f"Blocks: {blocks.requested} requested, {blocks.distinct} distinct, {blocks.executed} trained "
            f"({blocks.executed / blocks.requested:.0%} of those requested; random allocations would need "
            f"{expected:.0%})."
        )
    test = "" if report.test_gpu_seconds is None else f", {time_text(report.test_gpu_seconds)} on its test"
    console.print(f"Spent: {time_text(report.gpu_seconds)} on the search{test}.")
    if report.warm_start is not None:
        console.print(f"Began with {report.warm_start.words}.", soft_wrap=True, markup=False)
    if report.answer is not None:
        console.print(_answer(report.answer), soft_wrap=True, markup=False)
    if report.stopped is not None:
        console.print(f"Stopped: {report.stopped}.", soft_wrap=True, markup=False)
    outside = f" Outside of it: {labels.labels_outside}, as declared." if labels.labels_outside else ""
    console.print(
        f"Labels: {labels.labels_trained} trained on by the largest route (budget {labels.labels_budget}), "
        f"{labels.labels_validation} for validation, {labels.labels_owned} owned by the study.{outside}"
    )
    _show_test(report, folder)
    if report.decision is not None:
        console.print(report.decision.sentence, soft_wrap=True, markup=False)


def _show_test(report: SearchReport, folder: StudyFolder) -> None:
    """The tested leaderboard, and what to do next."""
    console, tested = terminal(), report.ranked()
    if tested is None:
        console.print(
            "Not tested (--test-seeds 0): validation scores were used to select these, so they are optimistic."
        )
        return
    console.print(render(*tested))
    if report.tested_trials is not None and report.tested_trials < len(report.proposals):
        console.print(
            f"This test was made when the study had {report.tested_trials} of its {len(report.proposals)} trials: "
            "rerun without --test-seeds 0 to test what it found since.",
            soft_wrap=True,
        )
    unranked = all(ranked.rank_first is None for ranked in tested[0])
    more_seeds = f"; --test-seeds {RANKED_SEEDS} gives ranks, and errors with training variance" if unranked else ""
    console.print(f"Figure: {folder.figure}   Report: {folder.report}")
    console.print(
        f"Next: rerun the same command with more --trials to continue{more_seeds};\n"
        "`tuition scenarios micro` describes the bench; README.md shows how to use your own models and data.",
        markup=False,
    )


def _answer(answer: PlannerAnswer) -> str:
    """What the planner hands over, in words."""
    named, trained = answer.named, answer.trained
    text = f"Planner: {_predicted(named)} is expected to be the best of all allocations"
    if named.allocation == trained.allocation:
        return f"{text}; the search trained it."
    return f"{text}; the search did not train it. Of those that it trained, the best is {_predicted(trained)}."


def _predicted(split: PlannedSplit) -> str:
    return f"{split.allocation} (validation {split.mean:.1%} ± {split.sd:.1%} predicted)"


def _trials(report: SearchReport) -> Table:
    table = Table(title=f"study {report.study}: validation", box=box.SIMPLE_HEAD)
    columns = (
        "trial",
        "allocation",
        "score, %",
        "± problems",
        "± samples",
        "cut, %",
        "labels",
        "GPU-s full",
        "marginal",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "allocation" else "right", no_wrap=column != "allocation")
    done = [(trial, trial.score) for trial in report.trials if trial.score is not None]
    hidden = 0
    for place, (trial, score) in enumerate(sorted(done, key=lambda pair: -pair[1].mean)):
        if trial.on_the_way_of is not None and place >= MOST_ON_THE_WAY:
            hidden += 1
            continue
        table.add_row(
            f"#{trial.number}",
            trial.allocation + _taken_from(trial),
            f"{score.mean:.1%}".rstrip("%"),
            percent(score.se_problems),
            percent(score.se_samples),
            _cut(trial.truncated_share),
            str(trial.labels_trained) if trial.told_from_outside is None else f"({trial.labels_outside})",
            f"{trial.gpu_seconds_full:.0f}",
            f"{trial.gpu_seconds_marginal:.0f}",
        )
    for trial in report.trials:
        if trial.score is None:
            refused = None if trial.refused is None else f"refused: {trial.refused}"
            table.add_row(f"#{trial.number}", f"{trial.allocation} {trial.error or refused or trial.state}")
    if hidden:
        table.caption = f"{hidden} more allocations were scored on the way: see the report"
    return table


def _taken_from(trial: TrialReport) -> str:
    if trial.repeat_of is not None:
        return f" (repeats #{trial.repeat_of})"
    if trial.told_from_outside is not None:
        return " (told from outside)"
    return f" (on the way of #{trial.on_the_way_of})" if trial.on_the_way_of is not None else ""


def _cut(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def _is_much(share: float | None) -> bool:
    return share is not None and share >= MUCH_CUT


def show_run(run: SingleRun) -> None:
    """One route: its blocks, labels and scores."""
    console = terminal()
    table = Table(title=f"{run.allocation}, seed {run.seed}", box=box.SIMPLE_HEAD)
    for column in ("block", "key", "GPU-seconds", "used", "", "groups without variance", "cut, %", SEEN):
        table.add_column(column)
    used = charge_used(use.record.used if use.record is not None else None for use in run.blocks)
    for use, gpu_seconds_used in zip(run.blocks, used, strict=True):
        wasted = ""
        if use.record is not None and use.record.groups is not None:
            wasted = f"{use.record.groups_zero_variance} of {use.record.groups}"
        if use.record is not None and use.record.labels_filtered:
            wasted += f", {use.record.labels_filtered} labels left out"
        done = "trained" if use.executed else "reused"
        cut = _cut(use.record.truncated_share) if use.record is not None else ""
        seen = percentages(use.record.draws) if use.record is not None and use.record.draws is not None else "unknown"
        seconds = f"{use.gpu_seconds:.1f}", seconds_text(gpu_seconds_used, digits=1)
        table.add_row(f"{use.stage}[{use.index}]", use.key[:12], *seconds, done, wasted, cut, seen)
    console.print(table)
    if any(use.record is not None and use.record.groups for use in run.blocks):
        console.print("A group without variance has all completions right or all wrong, so its label taught nothing.")
    labels = run.labels
    console.print(
        f"Labels: {labels.labels_trained} trained, {labels.labels_validation} for validation, "
        f"{labels.labels_owned} owned. GPU-seconds: {run.gpu_seconds_full:.1f} from scratch, "
        f"{run.gpu_seconds_marginal:.1f} spent now."
    )
    for suite, score in run.scores.items():
        share = run.truncated_shares[suite]
        console.print(
            f"{suite}: {score.mean:.1%} ± {percent(score.se_problems)} over problems, "
            f"± {percent(score.se_samples)} over samples (one training run: excludes training variance)"
        )
        console.print(f"{share:.1%} of the completions ran into the limit.")
        if _is_much(share):
            console.print(
                f"warning: raise decoding.max_new_tokens, or see whether the model ends at all ({share:.0%})."
            )
    console.print(f"Checkpoint: {run.model}", soft_wrap=True)


def show_baselines_plan(plan: BaselinesPlan) -> None:
    """Estimated cost of baselines."""
    console = terminal()
    table = Table(title=f"plan: {plan.study}, seeds {list(plan.seeds)}", box=box.SIMPLE_HEAD)
    for column in ("entry", "GPU-s full, one seed", "blocks to train", "GPU-s to train"):
        table.add_column(column, justify="left" if column == "entry" else "right")
    for row in plan.rows:
        full, missing = seconds_text(row.gpu_seconds_full), seconds_text(row.gpu_seconds_to_train)
        table.add_row(row.name, full, f"{row.blocks_to_train:,}", missing)
    console.print(table)
    console.print(
        f"Time: {total_text(plan.gpu_seconds, plan.gpu_seconds_known)} with one worker, scoring included "
        f"({basis_text(plan.basis)}). The length of direct-compute is estimated here and measured when it runs."
    )


def show_plan(plan: SearchPlan) -> None:
    """Estimated cost of a search."""
    console = terminal()
    table = Table(title=f"plan: {plan.trials} trials on {plan.scenario}", box=box.SIMPLE_HEAD)
    for column in ("", "blocks requested", "distinct", "in the store", "to train", "GPU-seconds"):
        table.add_column(column, justify="left" if not column else "right")
    for name, phase in (("search", plan.search), ("test", plan.test)):
        counts = (phase.requested, phase.distinct, phase.stored, phase.to_train)
        table.add_row(name, *(f"{count:,}" for count in counts), seconds_text(phase.gpu_seconds))
    console.print(table)
    labels = plan.labels
    spread = ""
    if plan.devices > 1 and plan.gpu_seconds is not None:
        spread = f" ({time_text(plan.gpu_seconds / plan.devices)} on {plan.devices} devices)"
    r = plan.dearest_route_gpu_seconds
    route = seconds_text(r) if r is None else time_text(r)
    budget = ""
    if plan.budget_gpu_seconds is not None:
        budget = f"Budget of the search, its test apart: {time_text(plan.budget_gpu_seconds)}"
        budget += f" ({plan.budget_gpu_seconds / r:.2g} R).\n" if r else ".\n"
    console.print(
        f"Labels: {labels.labels_budget} to train on + {labels.labels_validation} for validation = "
        f"{labels.labels_owned} owned.\n"
        f"Time: {total_text(plan.gpu_seconds, plan.gpu_seconds_known)} of {plan.device}{spread} with one worker "
        f"({basis_text(plan.basis)}).\n"
        f"R, the dearest route with its score ({plan.dearest_route}): {route}.\n"
        f"{budget}"
        f"Peak disk: {size_text(plan.peak_disk_bytes)}.\n"
        f"Planned from {plan.planned_from}."
    )
    if plan.warm_start is not None:
        console.print(f"A new study begins with {plan.warm_start}.", soft_wrap=True, markup=False)
    show_passes(plan.passes)
    console.print(_planned_costs(plan))
    if plan.memory:
        memory = Table(title="predicted peak memory of one device", box=box.SIMPLE_HEAD)
        for column in ("stage", "total", "moment", "largest parts"):
            memory.add_column(column)
        for stage, row in plan.memory.items():
            largest = sorted(row.parts.items(), key=lambda part: -part[1])[:3]
            parts = ", ".join(f"{name} {size_text(size)}" for name, size in largest)
            memory.add_row(stage, size_text(row.bytes), row.moment, parts)
        console.print(memory)
    console.print("The search's proposals are unknown before it runs; random ones are used here.")
    if plan.expected is not None:
        show_expectation(plan.expected)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", soft_wrap=True, markup=False)
    console.print("Commands:", *plan.commands, sep="\n  ", soft_wrap=True, markup=False)


def _planned_costs(plan: SearchPlan) -> Table:
    table = Table(title="predicted costs, device-seconds", box=box.SIMPLE_HEAD)
    for column in ("", "to make", "each", "basis"):
        table.add_column(column, justify="right" if column in ("to make", "each") else "left")
    for cost in plan.costs:
        table.add_row(cost.name, f"{cost.count:,}", seconds_text(cost.gpu_seconds, digits=1), cost.basis)
    return table


def show_measured_costs(measured: MeasuredCosts) -> None:
    """What blocks will cost by the short ones that were trained."""
    console = terminal()
    table = Table(title=f"costs of {measured.scenario}, device-seconds", box=box.SIMPLE_HEAD)
    for column in ("", "each", "basis"):
        table.add_column(column, justify="right" if column == "each" else "left")
    for name, cost in measured.costs.items():
        table.add_row(name, seconds_text(cost.seconds, digits=1), cost.basis)
    console.print(table)
    for allocation, reason in measured.failures.items():
        console.print(f"Not measured: {allocation}: {reason}", markup=False, soft_wrap=True)
    console.print(
        f"{measured.labels_revealed} labels were revealed for this and are booked to an account of its own in the "
        "ledger; no weights were kept. `tuition plan` uses these costs until real blocks are stored."
    )


def show_shuffled(report: ShuffledReport) -> None:
    """Blocked against shuffled training, by model."""
    title = f"{report.scenario} on {report.suite}, seeds {list(report.seeds)}"
    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("model", "blocked, %", "shuffled, %", "blocked - shuffled, points [95 %]"):
        table.add_column(column)
    for model, row in report.blocked_minus_shuffled.items():
        mean, low, high = (100 * number for number in (row.difference.mean, row.difference.low, row.difference.high))
        table.add_row(
            model,
            percent(row.blocked),
            percent(row.shuffled),
            f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]{'†' if row.difference.few_problems else ''}",
        )
    table.caption, table.caption_justify = (
        "Seed variance: each pair's own. It is not moderated as in tables of baselines: two rows of one model do not "
        "tell what is usual, and student and teacher are no rows of one table.",
        "left",
    )
    terminal().print(table)
