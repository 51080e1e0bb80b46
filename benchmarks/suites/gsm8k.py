"""GSM8K: 1,319 grade-school word problems, the test split.

Data set: Cobbe et al. (2021, arXiv 2110.14168), MIT. The answer stands after `####` of the worked solution; thousands
commas do not count.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set; ValueError when its solution has no `####`."""
    _, _, answer = row["answer"].rpartition("####")
    return problem_of(row["question"], answer.strip().replace(",", ""), subject="Arithmetic word problem")


SUITE = Suite(
    name="gsm8k",
    version=1,
    title="GSM8K",
    num_problems=1319,
    checksum="5d07b3f6024d986acde78cd6db629a174de496d525e652662743c62233ebf481",
    texts_checksum="bf38d2922e25852c08f9d14bc81a31eb0dc9e8dd87d507de82265b952270f4c7",
    hub=HubSource("openai/gsm8k", "main", "test", read_row),
    files=("eval_gsm8k_test.jsonl",),
)
