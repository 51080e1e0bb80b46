"""AIME 2025: the 30 problems of the American Invitational Mathematics Examination I and II of 2025.

Data set: MathArena's text, with figures as TikZ code; answers are integers from 0 to 999. The problems are (c) MAA.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    return problem_of(row["problem"], row["answer"])


SUITE = Suite(
    name="aime25",
    version=1,
    title="AIME 2025",
    num_problems=30,
    checksum="62c4b068af0e52c1aabb530bc26aa8d71009449169608c710a477dfe3f1a5a4a",
    texts_checksum="eb323a789cf4ae18be59c525492988202d77ed487da00cc4bb51a3dbea315107",
    hub=HubSource("MathArena/aime_2025", None, "train", read_row),
    files=("eval_aime2025.jsonl",),
)
