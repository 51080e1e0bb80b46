"""How often a scenario's untrained student solves its problems: python -m tests.experiments.base_pass_rates

GRPO learns nothing from a problem that the model never solves, or always. So what counts beside the mean is how many
problems lie between. Measured on the first of the prompt pool, which no label, validation or test problem is among.
"""

import argparse
from collections import Counter
from statistics import fmean

from tuition.benchmarks.grading.grader import Grader
from tuition.benchmarks.scoring.sampling import encode_prompts, generate_ids, render_prompt
from tuition.planner.stages import STUDENT
from tuition.runners.scenarios.scenario import Scenario
from tuition.runners.training.checkpoint import load_model, load_tokenizer


def solved(scenario: Scenario, num_problems: int, samples: int) -> list[int]:
    """Of every problem, how many of its samples are right."""
    problems = scenario.file.prompts.load(scenario.folder)[:num_problems]
    folder = scenario.base_folder(STUDENT)
    model, tokenizer = load_model(folder, "float32", "cpu", trainable=False), load_tokenizer(folder)
    decoding = scenario.decoding
    rendered = [render_prompt(one.problem, decoding) for one in problems for _ in range(samples)]
    prompts = encode_prompts(tokenizer, rendered)
    drawn = tokenizer.batch_decode(generate_ids(model, tokenizer, prompts, decoding, 0), skip_special_tokens=True)
    grader = Grader(policy=scenario.policy.name)
    try:
        grades = grader.grade_many([one.answer for one in problems for _ in range(samples)], drawn)
    finally:
        grader.close()
    right = [grade.correct for grade in grades]
    return [sum(right[start : start + samples]) for start in range(0, len(right), samples)]


def main() -> None:
    """Print the mean, and how many problems are solved never, always, and as often as between."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="smol")
    parser.add_argument("--problems", type=int, default=48)
    parser.add_argument("--samples", type=int, default=8)
    arguments = parser.parse_args()
    counts = solved(Scenario.load(arguments.scenario), arguments.problems, arguments.samples)
    found = Counter(counts)
    print(f"{fmean(counts) / arguments.samples:.1%} of {len(counts)} problems x {arguments.samples} samples are right")
    print("problems by right samples:", ", ".join(f"{k}: {found[k]}" for k in range(arguments.samples + 1)))


if __name__ == "__main__":
    main()
