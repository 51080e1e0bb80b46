"""MATH-500: 500 problems of the MATH test set, five levels, seven subjects.

Data set: the 500 that Lightman et al. (2023, "Let's Verify Step by Step", arXiv 2305.20050) held out of MATH
(Hendrycks et al. 2021). Some gold answers end in a full stop or carry `\\!`; they are left as they are.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    return problem_of(row["problem"], row["answer"], row["level"], row["subject"])


SUITE = Suite(
    name="math500",
    version=1,
    title="MATH-500",
    num_problems=500,
    checksum="bb6e77b091183ac9689eb0571fb57b657550692eb76ac708b77e3e162c5e9019",
    texts_checksum="cffbc942d41ec623885dfb66b96da8bff5667dccc2e8fb05070cd14fd0e2b301",
    hub=HubSource("HuggingFaceH4/MATH-500", None, "test", read_row),
    files=("eval_math500.jsonl",),
)
