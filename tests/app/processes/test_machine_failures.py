"""What is the machine's failure and what is the recipe's, and the line that says it."""

import errno
import sqlite3

import pytest
import torch
from sqlalchemy.exc import OperationalError

from tuition.app.processes.machine_failures import as_machine_errors, machine_failure
from tuition.planner.searching.trial_loop import MachineError
from tuition.runners.labels import LedgerError
from tuition.runners.training.launch import LaunchError
from tuition.runners.training.rows import BlockError

FULL = OSError(errno.ENOSPC, "No space left on device", "/data/x")


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


MACHINE = {
    "a full disk": (FULL, "No space left on device: /data/x: free disk space"),
    "a full disk below": (caused(BlockError("cannot be stored"), FULL), "No space left on device: /data/x: free"),
    "a read-only disk": (OSError(errno.EROFS, "Read-only file system", "/data"), "make the file system writable"),
    "a full disk in a library's words": (RuntimeError("I/O error: No space left on device (os error 28)"), "free disk"),
    "no memory": (MemoryError(), "free memory"),
    "no device memory": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "free memory"),
    "a killed process": (LaunchError("training ended with signal SIGKILL (its log is empty): read it"), "read it"),
    "a killed grader": (RuntimeError("the grading worker did not start (its output ended)"), "free memory"),
    "a locked database": (
        OperationalError("UPDATE x", {}, sqlite3.OperationalError("database is locked")),
        "is locked",
    ),
    "a ledger": (
        LedgerError("the label ledger x cannot be used: free disk space"),
        "the label ledger x cannot be used",
    ),
    "a lost disk": (FileNotFoundError(errno.ENOENT, "No such file or directory", "/data"), "/data: see to it"),
}
RECIPE = {
    "nothing to train on": BlockError("none of the teacher's 8 samples was correct"),
    "a value that is not finite": ValueError("the evaluation returned nan"),
    "a model that is not there": OSError("me/x is not a local folder and is not a valid model identifier"),
    "a file that is not there, put in words": caused(BlockError("no such stage"), FileNotFoundError(2, "No", "x")),
    "a diverged training": RuntimeError("probability tensor contains either `inf`, `nan` or element < 0"),
}


@pytest.mark.parametrize("name", MACHINE)
def test_a_failure_of_the_machine_says_the_fix_in_one_line(name: str) -> None:
    error, part = MACHINE[name]
    line = machine_failure(error)
    assert line is not None and part in line and len(line.splitlines()) == 1
    with pytest.raises(MachineError, match=r"^.+$"), as_machine_errors():
        raise error


@pytest.mark.parametrize("name", RECIPE)
def test_a_failure_of_the_recipe_stays_what_it_is(name: str) -> None:
    error = RECIPE[name]
    assert machine_failure(error) is None
    with pytest.raises(type(error)) as caught, as_machine_errors():
        raise error
    assert caught.value is error
