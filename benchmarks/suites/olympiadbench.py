"""OlympiadBench: 675 olympiad problems, English, text only, open-ended, mathematics (`OE_TO_maths_en_COMP`).

Data set: He et al. (2024, arXiv 2402.14008), MIT. Some problems ask for several answers: gold is upstream's list,
joined by commas, and one outer pair of `$` is dropped. Units are not asked for. Copies with 674 rows are in
use as well; they are another suite, and the checksum refuses them.
Metric: avg@k, the mean over problems of the mean correctness over k samples; the paper's k is 16.
Protocol: the problem, then the preset's suffix, as one user's message; math-verify compares the last `\\boxed{}`.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set; TypeError where `final_answer` is no list."""
    answers = row["final_answer"]
    if not isinstance(answers, list):
        raise TypeError(f"final_answer is {type(answers).__name__}, not a list")
    joined = ",".join(answers)
    if len(joined) > 2 and joined[0] == joined[-1] == "$" and "$" not in joined[1:-1]:
        joined = joined[1:-1]
    return problem_of(row["question"], joined, subject=row["subfield"])


SUITE = Suite(
    name="olympiadbench",
    version=1,
    title="OlympiadBench",
    num_problems=675,
    checksum="8f51c656be0e56b7a97fbbdd88e2aca1af97bfb3b43fa9e2d8bc71c286b4c6c5",
    texts_checksum="7f89bd7091cf39b2eed68f834b93fa4184f5d10ba9665bcb883dbbee53eda2b8",
    hub=HubSource("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train", read_row),
    files=("eval_olympiadbench_en.jsonl",),
)
