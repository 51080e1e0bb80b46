"""AIME 2024: the 30 problems of the American Invitational Mathematics Examination I and II of 2024.

Data set: answers are integers from 0 to 999; leading zeros do not count. The problems are (c) MAA.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    return problem_of(row["problem"], row["answer"])


SUITE = Suite(
    name="aime24",
    version=1,
    title="AIME 2024",
    num_problems=30,
    checksum="062c22c36db9b1ee5a14eadc7bdbfad1c1a5424343fee64c2544a58b9abeb5db",
    texts_checksum="bac4f4259c7e617e0a55ddc70257d0062024692688e228cf6ac0fde64ac4f001",
    hub=HubSource("HuggingFaceH4/aime_2024", None, "train", read_row),
    files=("eval_aime2024.jsonl",),
)
