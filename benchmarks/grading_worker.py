"""The process that runs math-verify: one JSON request per line in, one JSON answer per line out.

What: started by `benchmarks.grading` as a script, never imported by it. A request is `[gold, completion, limit]`, an
answer `[correct, extracted]`, where `extracted` is null when math-verify finds nothing. The first line out is "ready".

The kernel ends this process when it takes more memory than MEMORY_BYTES, or two seconds after `limit` (in seconds;
the parent kills it earlier), so that it cannot go on when the parent is gone. An idle worker leaves on the end of its
input, and when its parent has changed (a forked copy of the parent may hold the input open).
"""

import json
import logging
import os
import re
import resource
import select
import signal
import sys
from functools import lru_cache
from typing import Any

MEMORY_BYTES = 4 << 30
PARENT_CHECK_SECONDS = 5.0
GRACE_SECONDS = 2.0


@lru_cache(maxsize=4096)
def parse_gold(gold: str) -> list[Any]:
    """math-verify's reading of a gold answer, put in a LaTeX environment unless it brings one."""
    from math_verify import parse

    if "\\boxed" in gold or re.search(r"(?<!\\)\$", gold):
        return parse(gold, parsing_timeout=None)
    # A formula between single dollars ends with its line.
    return parse(f"\\boxed{{{gold}}}" if "\n" in gold else f"${gold}$", parsing_timeout=None)


def grade(gold: str, completion: str) -> tuple[bool, str | None]:
    """Whether math-verify takes the completion's answer for the gold one, and the text that it read as the answer."""
    from math_verify import parse, verify

    predictions = parse(completion, parsing_timeout=None)
    if not predictions:
        return False, None
    # The last entry is the text behind the expression, where math-verify kept one.
    return bool(verify(parse_gold(gold), predictions, timeout_seconds=None)), str(predictions[-1])


def main() -> None:
    """Answer requests until the input ends or the parent is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # An interrupt at the keyboard reaches the whole process group; the parent decides when we leave.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    # A first answer loads math-verify, so that no problem's limit pays for it; an import error still shows.
    grade("1", "$\\frac{1}{2}$")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    print("ready", file=answers, flush=True)
    while os.getppid() == parent:
        if not select.select([requests], [], [], PARENT_CHECK_SECONDS)[0]:
            continue
        line = requests.readline()
        if not line:
            return
        gold, completion, limit = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, limit + GRACE_SECONDS)
        try:
            correct, extracted = grade(gold, completion)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([correct, extracted]), file=answers, flush=True)


if __name__ == "__main__":
    main()
