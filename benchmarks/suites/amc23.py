"""AMC 2023: 40 problems of the American Mathematics Competitions 12A and 12B of 2023, asked without choices.

Data set: the open-ended form that Qwen2.5-Math's evaluation made common, 40 problems with integer answers. (c) MAA.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    return problem_of(row["question"], row["answer"])


SUITE = Suite(
    name="amc23",
    version=1,
    title="AMC 2023",
    num_problems=40,
    checksum="9f5f7df9324594701c66479264b36db0b1c8f426b70fcda4063af96aec15e7d4",
    texts_checksum="2ce5eaf4d4231351b793b23acd5c107f16f51df6936c3e76a560f9a60df601b8",
    hub=HubSource("math-ai/amc23", None, "test", read_row),
    files=("eval_amc2023.jsonl",),
)
