"""`tuition shuffled`: the price of prefix sharing.

Blocks let routes share their beginnings, but a blocked stage sees its labels in stages of growth, where an ordinary run
shuffles all of them from the first step. Both are trained here, student and teacher, on the same labels with the same
number of updates, and compared on the test suite. The ordinary run is one block that holds all labels and all steps
(`tuition.planner.route.compile_route`), so no other code trains it.
"""

from typing import Any

from tuition.app.processes.channel import logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.evaluation import outcomes_of, seeds_for_test
from tuition.app.studies.study_report import ShuffledComparison, ShuffledReport, write_report
from tuition.benchmarks.provenance import command_line
from tuition.benchmarks.statistics.intervals import paired_difference, score_over_seeds
from tuition.planner.allocation import Allocation, Checkpoint, TeacherCheckpoint
from tuition.planner.route import Route, compile_checkpoint
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.scenarios.scenario import Scenario


def label_stage_only(scenario: Scenario, teacher: bool, seed: int, *, ordinary: bool) -> Route:
    """All labels on one model and nothing else: the route that ends at the teacher, or direct GRPO."""
    recipe, blocks = scenario.recipe, scenario.recipe.num_label_blocks
    trained: Checkpoint = Allocation(student_rl=blocks)
    if teacher:
        trained = TeacherCheckpoint(teacher=scenario.default_teacher, stage="teacher_rl", blocks=blocks)
    return compile_checkpoint(trained, recipe, seed, ordinary=ordinary)


def compare_shuffled(configuration: RunConfiguration, num_seeds: int) -> ShuffledReport:
    """Blocked minus shuffled, for the student and for the default teacher; the report is kept in the results folder."""
    scenario = configuration.load_scenario()
    seeds = seeds_for_test(0, num_seeds)
    ids = sorted(problem.id for problem in scenario.test)
    folder = configuration.folder.study(f"{scenario.name}-shuffled")
    study = f"shuffled:{scenario.sha256[:12]}"
    comparisons: dict[str, ShuffledComparison] = {}
    log = folder.log("shuffled")
    with Reporter(configuration.quiet) as reporter, logged(log, reporter), Interrupts(reporter.say) as stop:
        reporter.check = stop.check
        done, total = 0, 4 * num_seeds
        reporter.hear(PhaseBegan(title="blocked against shuffled", done=0, total=total))
        for teacher in (False, True):
            outcomes: dict[str, list[Any]] = {"blocked": [], "shuffled": []}
            model = scenario.default_teacher if teacher else "student"
            for name in outcomes:
                with configuration.open_runner(scenario, reporter) as runner:
                    for seed in seeds:
                        route = label_stage_only(scenario, teacher, seed, ordinary=name == "shuffled")
                        runner.run(route, study)
                        outcomes[name].append(outcomes_of(runner.score(route.final, "test", study).table, ids))
                        done += 1
                        reporter.check()
                        score = f"{outcomes[name][-1].mean():.1%}"
                        run = f"{name} {model} (seed {seed})"
                        reporter.hear(RunDone(name=run, result=score, done=done, total=total))
            difference = paired_difference(outcomes["blocked"], outcomes["shuffled"])
            means = {name: score_over_seeds(several).mean for name, several in outcomes.items()}
            comparisons[model] = ShuffledComparison(**means, difference=difference)
    report = ShuffledReport(
        study=folder.name,
        scenario=scenario.name,
        scenario_sha256=scenario.sha256,
        command=command_line(),
        suite=scenario.suite_name("test"),
        seeds=seeds,
        blocked_minus_shuffled=comparisons,
    )
    write_report(report, folder.report)
    return report
