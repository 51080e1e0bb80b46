"""Write golden_curves.json anew: `python -m tests.runners.training.pin_golden_curves`, or only the curves of the stages
that are named behind it. Look at the diff before you commit it."""

import json
import sys
import tempfile
from pathlib import Path

import yaml

from tests.runners.conftest import small_scenario_file
from tests.runners.training.test_stages import GOLDEN, ROUTES, curves
from tuition.runners.route_runner import RouteRunner
from tuition.runners.scenarios.scenario import Scenario

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    runner = RouteRunner(Scenario.load(str(path)), Path(folder) / "results")
    pinned = json.loads(GOLDEN.read_text()) | {stage: curves(runner, stage) for stage in sys.argv[1:] or ROUTES}
    GOLDEN.write_text(json.dumps({stage: pinned[stage] for stage in sorted(ROUTES)}, indent=1) + "\n")
    runner.close()
