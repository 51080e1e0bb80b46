"""The revision of every stage: raised by one whenever its code changes what a block computes.

A revision is part of the key of every block of its stage, so raising it retrains them. A golden test compares the
curves of a tiny block of each stage with pinned ones, which catches a forgotten raise.
"""

REVISIONS = {
    "teacher_rl": 1,
    "teacher_sft": 1,
    "warmup": 1,
    "opd": 1,
    "transfer_sft": 1,
    "student_rl": 1,
}
