"""Bytes for each logit while the loss against a teacher behind a server is computed: what `memory.py` predicts with.

Run `python -m tests.experiments.speed.served_logits`. Only the process's peak is seen, so the logits have to be more
than all that was there before.
"""

import argparse
import resource

import torch

from tuition.runners.training.stages.served_divergence import CHUNK_TOKENS, divergence, log_probabilities

WIDTH, COMPARED = 64, 20


def bytes_per_logit(positions: int, vocabulary: int) -> float:
    """Growth of the process's peak by a forward and a backward pass, divided by the logits of one piece."""
    head, hidden = torch.nn.Linear(WIDTH, vocabulary, bias=False), torch.randn(positions, WIDTH, requires_grad=True)
    compared = torch.randint(vocabulary, (positions, COMPARED))
    teacher = torch.log_softmax(torch.randn(positions, COMPARED + 1), -1)[:, 1:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    divergence(log_probabilities(hidden, head, compared, 1.0), teacher, 0.0).backward()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return grown / (min(positions, CHUNK_TOKENS) * vocabulary)


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=2 * CHUNK_TOKENS)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    given = parser.parse_args()
    print(f"{bytes_per_logit(given.positions, given.vocabulary):.1f} bytes a logit")


if __name__ == "__main__":
    main()
