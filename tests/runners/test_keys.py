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
    ("R2", 0): "15fe01294bb43fdf8619539acde732874021858a58a7bb0b41accf62e9e92846",
    ("R5-half", 1000): "990f104382103db5cecf27fece5b7d5fbdc6d7584abb52b4ee78e6111a1c7f54",
    ("R6", 0): "5be6440add51bc46e75bc8775e6b8706e72aa2ec20f51e40bda884940180d5f3",
    ("R7", 0): "6755c20fb5ebd371a56497706cb64587322799ce239fb83a88e5c7e2065b96bd",
    ("R8", 0): "3a11a30a89eccd61e93ae14386766fe1d0417d073dfa92fd1b8b200d98965662",
    ("raw", 0): "0ae2a05285c027dfca5afb936f3b8ad9051eb87e9c3e3c03538dc595f7948572",
}


@pytest.fixture(scope="module")
def micro() -> Scenario:
    return Scenario.load("micro")


@pytest.mark.parametrize(("name", "seed"), FINALS)
def test_a_route_has_the_keys_that_it_had(name: str, seed: int, micro: Scenario) -> None:
    search = micro.file.search
    named = named_allocations(micro.default_teacher, micro.num_label_blocks, search.bridge_warmup, search.bridge_opd)
    assert compile_route(named[name], micro.recipe, seed).final == FINALS[name, seed]
