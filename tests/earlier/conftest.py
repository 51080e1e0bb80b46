"""Commands run in this process, as in the tests of the command line."""

from tests.app.conftest import tuition

__all__ = ["tuition"]
