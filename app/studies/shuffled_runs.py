"""`tuition shuffled`: the price of prefix sharing.

Blocks let routes share their beginnings, but a blocked stage sees its labels in stages of growth, where an ordinary run
shuffles all of them from the first step. Both are trained here, student and teacher, on the same labels with the same
number of updates, and compared on the test suite. The ordinary run is the same scenario with one block that holds all
labels and all steps, so no other code trains it.
"""

from dataclasses import replace
from typing import Any

from tuition.app.processes.channel import logged
from tuition.app.processes.interrupts import Interrupts
from tuition.app.processes.progress import Reporter
from tuition.app.processes.run_configuration import RunConfiguration
from tuition.app.studies.evaluation import ordinary, outcomes_of, seeds_for_test
from tuition.app.studies.study_report import ShuffledComparison, ShuffledReport, write_report
from tuition.benchmarks.provenance import command_line
from tuition.benchmarks.statistics.intervals import paired_difference, score_over_seeds
from tuition.planner.allocation import Allocation
from tuition.planner.route import Route, compile_route
from tuition.planner.stages import STAGE
from tuition.runners.events import PhaseBegan, RunDone
from tuition.runners.scenarios.scenario import Scenario


def label_stage_only(scenario: Scenario, teacher: bool, seed: int) -> Route:
    """All labels on one model and nothing else: the route that ends at the teacher, or direct GRPO."""
    blocks = scenario.recipe.num_label_blocks
    if not teacher:
        return compile_route(Allocation(student_rl=blocks), scenario.recipe, seed)
    route = compile_route(Allocation(teacher=scenario.default_teacher, teacher_rl=blocks, opd=1), scenario.recipe, seed)
    trained = tuple(block for block in route.blocks if STAGE[block.stage].model == "teacher")
    return replace(route, blocks=trained, final=trained[-1].key)


def compare_shuffled(configuration: RunConfiguration, num_seeds: int) -> ShuffledReport:
    """Blocked minus shuffled, for the student and for the default teacher; the report is kept in the results folder."""
    blocked = configuration.load_scenario()
    shuffled = ordinary(blocked)
    seeds = seeds_for_test(0, num_seeds)
    ids = sorted(problem.id for problem in blocked.test)
    folder = configuration.folder.study(f"{blocked.name}-shuffled")
    study = f"shuffled:{blocked.sha256[:12]}"
    comparisons: dict[str, ShuffledComparison] = {}
    log = folder.log("shuffled")
    with Reporter(configuration.quiet) as reporter, logged(log, reporter), Interrupts(reporter.say) as stop:
        reporter.check = stop.check
        done, total = 0, 4 * num_seeds
        reporter.hear(PhaseBegan(title="blocked against shuffled", done=0, total=total))
        for teacher in (False, True):
            outcomes: dict[str, list[Any]] = {"blocked": [], "shuffled": []}
            model = blocked.default_teacher if teacher else "student"
            for name, scenario in (("blocked", blocked), ("shuffled", shuffled)):
                with configuration.open_runner(scenario, reporter) as runner:
                    for seed in seeds:
                        route = label_stage_only(scenario, teacher, seed)
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
        scenario=blocked.name,
        scenario_sha256=blocked.sha256,
        command=command_line(),
        suite=blocked.suite_name("test"),
        seeds=seeds,
        blocked_minus_shuffled=comparisons,
    )
    write_report(report, folder.report)
    return report
