"""The error of recorded tables, apart from what reads them: a wrong name is told before libraries are imported."""


class RecordedError(ValueError):
    """A recorded table that cannot be used, or a question that it does not answer; one line with value and fix."""
