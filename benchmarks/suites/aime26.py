"""AIME 2026: the 30 problems of the American Invitational Mathematics Examination I and II of 2026.

Data set: answers are integers from 0 to 999. The problems are (c) MAA. UNVERIFIED: no rows were available when this was
written, so there is no checksum, and its scores say so. `tuition suites lock aime26` pins what the Hub has.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    return problem_of(row["problem"], row["answer"])


SUITE = Suite(
    name="aime26",
    version=1,
    title="AIME 2026",
    num_problems=30,
    checksum=None,
    texts_checksum=None,
    hub=HubSource("MathArena/aime_2026", None, "train", read_row),
    files=("eval_aime2026.jsonl",),
)
