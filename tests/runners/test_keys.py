"""Keys of routes of the shipped scenario `micro`, pinned: stores that older versions wrote are found by them.

A key covers all of its ancestors, so the last one of a chain pins the chain. What a stage computes changes the keys of
its blocks by its revision, and a change of the scenario's numbers changes them too: pin them anew then, and only then.
"""

import pytest

from tuition.planner.allocation import named_allocations
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario

FINALS = {
    ("R1", 0): "e2796d8f9f96d2cc0757e6066d37c903dadb5126fab1c0c7f399e5381ff2ca6f",
    ("R2", 0): "0eeb66b6f74fce5e8b55367417f080b87da3903e5dd06da006d87c3df3895f05",
    ("R5-half", 1000): "560ba2feaad618180d61f3133258c7e4dfee5eaaaf49b00e1d8f602ad806c59b",
    ("R6", 0): "1dc7cfdfe7876e551d4ddb56cd2391a09325372d12bfc49cda52215006900897",
    ("R7", 0): "31a7ecb0e52b89e13e60b6dab7faa56660cf1d0804ff4a9ca2e4eb7195210826",
    ("R8", 0): "bee06804391ef071b638c2c41c95b3e93461b9311836a2065aaa0259e22b0909",
    ("raw", 0): "a4348d3627e69bc96e8ce361b724524d3d189758a031e8186228049058bfbcec",
}


@pytest.fixture(scope="module")
def micro() -> Scenario:
    return Scenario.load("micro")


@pytest.mark.parametrize(("name", "seed"), FINALS)
def test_a_route_has_the_keys_that_it_had(name: str, seed: int, micro: Scenario) -> None:
    search = micro.file.search
    named = named_allocations(micro.default_teacher, micro.num_label_blocks, search.bridge_warmup, search.bridge_opd)
    assert compile_route(named[name], micro.recipe, seed).final == FINALS[name, seed]
