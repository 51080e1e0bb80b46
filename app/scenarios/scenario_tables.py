"""Scenarios on the terminal: one in words, and what a new one was made from."""

from typing import Any

from rich import box
from rich.table import Table

from tuition.app.processes.terminal import terminal


def show_scenario(document: dict[str, Any]) -> None:
    """A scenario in words, with the routes that it knows by name."""
    console = terminal()
    console.print(f"{document['name']}: {document['description']}", markup=False)
    for key in ("student", "teachers", "labels", "prompts", "validation", "test", "device", "contamination"):
        if document[key] is not None:
            console.print(f"  {key}: {document[key]}", markup=False)
    if document["hub"]:
        console.print(f"  needs the Hub: {document['hub']}", markup=False, soft_wrap=True)
    for warning in document["warnings"]:
        console.print(f"  warning: {warning}", markup=False, soft_wrap=True)
    table = Table(title="named routes and baselines", box=box.SIMPLE_HEAD)
    table.add_column("name")
    table.add_column("allocation")
    for name, allocation in document["routes"].items():
        table.add_row(name, allocation)
    console.print(table)


def show_new_scenario(document: dict[str, Any]) -> None:
    """What was written, and what was found in the models and the problems."""
    console = terminal()
    lengths, sizes = document["prompt_tokens"], document["vocab_size"]
    console.print(f"wrote {document['file']}", markup=False, soft_wrap=True)
    console.print(
        f"  labels: {document['labels']}; {document['validation']} for validation, {document['test']} for test"
    )
    console.print(f"  prompts: {lengths['shortest']} to {lengths['longest']} tokens, median {lengths['median']:g}")
    console.print(f"  vocabulary: student {sizes['student']}, teacher {sizes['teacher']}")
    for suite, shared in document["contamination"].items():
        console.print(f"  shared with {suite}: {shared}", markup=False)
    for kind in ("notes", "problems"):
        for line in document[kind]:
            console.print(f"  {kind.removesuffix('s')}: {line}", markup=False, soft_wrap=True)
