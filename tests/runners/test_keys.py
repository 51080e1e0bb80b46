"""Keys of routes of the shipped scenario `micro`, pinned: stores that older versions wrote are found by them.

A key covers all of its ancestors, so the last one of a chain pins the chain. What a stage computes changes the keys of
its blocks by its revision, and a change of the scenario's numbers changes them too: pin them anew then, and only then.
"""

import pytest

from tuition.planner.allocation import named_allocations
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario

FINALS = {
    ("R1", 0): "326b8586d7d788a1c46b4827fd7aff40c792eea9b4aac3751d3c8b1e9d1fed18",
    ("R2", 0): "7d5909205bbf147cdc281010e29a4fcbc0b83b2059db5a552bfb5061698eb61a",
    ("R5-half", 1000): "feed670862cb26f3c9641725d8a5ae5bede8d7bfec963194968492ee2a915650",
    ("R6", 0): "fcd0c5bff88959e578fb88a9b5136f29c53f5991f82ab34968cff4ab736139fc",
    ("R7", 0): "b3d163d907b4d3d36de8fc58e1a17643fce0769c3e3da89e29f1568168db817b",
    ("R8", 0): "7e057572a9d1be912caee804dd527580af180f72e5a220963210f72dccae98a0",
    ("raw", 0): "3af5d540376a174a9b874413cdf0136a5bde67f4475efa64aae826ef8e2732c1",
}


@pytest.fixture(scope="module")
def micro() -> Scenario:
    return Scenario.load("micro")


@pytest.mark.parametrize(("name", "seed"), FINALS)
def test_a_route_has_the_keys_that_it_had(name: str, seed: int, micro: Scenario) -> None:
    search = micro.file.search
    named = named_allocations(micro.default_teacher, micro.num_label_blocks, search.bridge_warmup, search.bridge_opd)
    assert compile_route(named[name], micro.recipe, seed).final == FINALS[name, seed]
