"""Write golden_curves.json anew: `python -m tests.runners.training.pin_golden_curves`, or only the curves of the stages
that are named behind it. Look at the diff before you commit it."""

import argparse
import json
import tempfile
from pathlib import Path

import yaml

from tests.runners.conftest import small_scenario_file
from tests.runners.training.test_stages import GOLDEN, ROUTES, curves
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario


def main() -> None:
    """Train two blocks of each stage and write their curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[*ROUTES, []], default=[])
    parser.add_argument("--out", type=Path, default=GOLDEN)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(yaml.safe_dump(small_scenario_file()))
        runner = RouteRunner(Scenario.load(str(path)), Path(folder) / "results")
        pinned = json.loads(GOLDEN.read_text()) | {stage: curves(runner, stage) for stage in arguments.stages or ROUTES}
        arguments.out.write_text(json.dumps({stage: pinned[stage] for stage in sorted(ROUTES)}, indent=1) + "\n")
        runner.close()


if __name__ == "__main__":
    main()
