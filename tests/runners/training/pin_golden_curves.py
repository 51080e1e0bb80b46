"""Write golden_curves.json anew: `python -m tests.runners.training.pin_golden_curves`. Look at the diff before you
commit it."""

import json
import tempfile
from pathlib import Path

import yaml

from tests.runners.conftest import small_scenario_file
from tests.runners.training.test_stages import GOLDEN, ROUTES, curves
from tuition.runners.engine import LocalEngine
from tuition.runners.scenarios.scenario import Scenario

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "scenario.yaml"
    path.write_text(yaml.safe_dump(small_scenario_file()))
    engine = LocalEngine(Scenario.load(str(path)), Path(folder) / "results")
    GOLDEN.write_text(json.dumps({stage: curves(engine, stage) for stage in sorted(ROUTES)}, indent=1) + "\n")
    engine.close()
