"""DAPO-Math-17k: 17,398 competition problems with whole numbers as answers. A pool of labels, not an evaluation suite.

Data set: Yu et al. (2025, arXiv 2503.14476), Apache-2.0, in the copy without repeated prompts that the authors of arXiv
2605.12483 name in their repository. Each problem stands between two sentences that ask for a line "Answer: ..."; they
are dropped, as in the authors' script, because a scenario asks for its own form of answer.
Simplified: a problem that differs from an earlier one in white space only is left out, whatever its answer.
"""

from tuition.benchmarks.problems import Problem
from tuition.benchmarks.suites.loading import HubSource, Row, Suite, problem_of

BEFORE = "Solve the following math problem step by step."
AFTER = 'Remember to put your answer on its own line after "Answer:".'


def read_row(row: Row) -> Problem:
    """A problem of a row of the Hub's data set."""
    [message] = row["prompt"]
    text = message["content"].strip()
    if text.startswith(BEFORE):
        # The instruction is one paragraph.
        _, _, text = text.partition("\n\n")
    return problem_of(text.removesuffix(AFTER), row["reward_model"]["ground_truth"])


SUITE = Suite(
    name="dapo-math-17k",
    version=1,
    title="DAPO-Math-17k",
    num_problems=17398,
    # Its rows could not be verified when this was written.
    checksum=None,
    texts_checksum=None,
    hub=HubSource("YouJiacheng/DAPO-Math-17k-dedup", None, "train", read_row),
    files=(),
    repeats=True,
)
