"""Random rows of a recorded table, trained again here: are weights and scores the same?

How to run (20 rows of micro-b take about 5 minutes of one core; beginnings that rows share are trained once):
    python -m tests.experiments.recorded_again --table micro-b@2 --rows 20 --results again

Weights are equal bit for bit on the same processor type and library versions only, so a row that another processor
trained is compared by counts and labels alone; of long routes these may differ, too. Exits with 1 where a row differs.
"""

import argparse
import random
import sys
from contextlib import closing
from pathlib import Path

from tuition.app.processes.libraries import silence_libraries
from tuition.app.recordings.recording import record_route
from tuition.benchmarks.tables.recorded_table import RecordedRun, read_table
from tuition.benchmarks.tables.shipped import find_table
from tuition.planner.allocation import parse_checkpoint
from tuition.planner.route import compile_checkpoint
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario


def differences(recorded: RecordedRun, again: RecordedRun) -> list[str]:
    """What of a row is not the same."""
    fields = ["validation_correct", "test_correct", "labels_trained"]
    if recorded.device == again.device:
        fields.append("weights_sha256")
    return [name for name in fields if getattr(recorded, name) != getattr(again, name)]


def main() -> None:
    """Train the rows, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True, help="a table's file, or the name of one that ships")
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    parser.add_argument("--results", type=Path, default=Path("again"))
    arguments = parser.parse_args()
    silence_libraries()
    table = read_table(find_table(arguments.table))
    scenario = Scenario.load(table.header.scenario.partition("@")[0])
    chosen = random.Random(arguments.seed).sample(table.rows, arguments.rows)
    same, others = 0, ""
    with closing(RouteRunner(scenario, arguments.results)) as runner:
        for number, row in enumerate(chosen, 1):
            route = compile_checkpoint(parse_checkpoint(row.allocation), scenario.recipe, row.seed)
            again = record_route(runner, route)
            found = differences(row, again)
            if row.device != again.device:
                others = f" (not of those trained on another processor than {again.device})"
            same += not found
            verdict = f"differs in {', '.join(found)}" if found else "equal"
            score = sum(row.test_correct) / len(row.test_correct) / table.header.test.samples
            print(
                f"[{number}/{len(chosen)}] {row.allocation}, seed {row.seed}: test {score:.1%}, {verdict}", flush=True
            )
    print(
        f"{same} of {len(chosen)} rows of {arguments.table} are equal: every problem's count, labels, weights{others}"
    )
    sys.exit(same < len(chosen))


if __name__ == "__main__":
    main()
