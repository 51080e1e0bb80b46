"""Tuition: what should each label teach, the teacher or the student?

    import tuition

    report = tuition.search("micro", trials=12)
    study = tuition.read_study(report.study)
    print(study.tested[["name", "mean", "difference_low", "difference_high"]])

`help(tuition.search)` and the others each show an example; `tuition.app.api` says what they share.
"""

from importlib.metadata import version

from tuition.app.api.frames import optuna_study, read_leaderboard, read_study, read_table
from tuition.app.api.models import export, grade, score
from tuition.app.api.training import baselines, load_scenario, plan, plan_baselines, run, search
from tuition.planner.allocation import Allocation

__version__ = version("tuition")

__all__ = [
    "Allocation",
    "__version__",
    "baselines",
    "export",
    "grade",
    "load_scenario",
    "optuna_study",
    "plan",
    "plan_baselines",
    "read_leaderboard",
    "read_study",
    "read_table",
    "run",
    "score",
    "search",
]
