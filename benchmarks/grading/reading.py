"""How math-verify reads a text that is an answer as a whole, by the policy `tuition-2`."""

import re
from typing import Any

from tuition.benchmarks.grading.forms import has_letter_unit


def parse(text: str) -> list[Any]:
    """math-verify's reading of a formula: the expression, where there is one, and its text."""
    from math_verify import LatexExtractionConfig
    from math_verify import parse as parse_text

    if "\\boxed" in text or re.search(r"(?<!\\)\$", text):
        whole: list[Any] = parse_text(text, parsing_timeout=None)
        return whole
    config = LatexExtractionConfig(boxed_match_priority=0)
    if has_letter_unit(text):
        from dataclasses import replace

        config = LatexExtractionConfig(
            boxed_match_priority=0, normalization_config=replace(config.normalization_config, units=False)
        )
    parsed: list[Any] = parse_text(f"\\boxed{{{text}}}", [config], parsing_timeout=None)
    return parsed
