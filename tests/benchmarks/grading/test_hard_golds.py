"""Golds that completions can hardly match are named with what they accept."""

from tuition.benchmarks.grading.hard_golds import hard_golds, in_sentences

GOLDS = [
    "42", "-3.5", "\\frac{1}{2}", "42 dollars", "3 1/2", "['1', '2']", "Evelyn", "1, 2", "(1,2)", "x+1", "\\frac{1",
    "3 \\oplus 4", "5 km", "20 m/s",
]  # fmt: skip


def test_hard_golds_are_named_by_kind() -> None:
    found = hard_golds(GOLDS)
    assert {hard.gold: hard.kind for hard in found} == {
        "42 dollars": "unit", "3 1/2": "mixed number", "['1', '2']": "list", "Evelyn": "text", "1, 2": "list",
        "\\frac{1": "unreadable", "3 \\oplus 4": "text", "5 km": "unit", "20 m/s": "unit",
    }  # fmt: skip
    sentences = in_sentences(found, [f"p{n}" for n in range(len(GOLDS))])
    assert sentences[0].startswith(
        "3 answers are hard to match (unit): p3: '42 dollars' accepts '42', with any unit or none"
    )
    assert any("'Evelyn' accepts only 'Evelyn', in capitals or not" in sentence for sentence in sentences)
    assert any("accepts nothing, not even itself" in sentence for sentence in sentences)
