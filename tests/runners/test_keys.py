"""Keys of routes of the shipped scenario `micro`, pinned: stores that older versions wrote are found by them.

A key covers all of its ancestors, so the last one of a chain pins the chain. What a stage computes changes the keys of
its blocks by its revision, and a change of the scenario's numbers changes them too: pin them anew then, and only then.
"""

import pytest

from tests.experiments.sharing.version_1 import version_1
from tuition.planner.allocation import named_allocations
from tuition.planner.route import compile_route
from tuition.runners.scenarios.scenario import Scenario

FINALS_2 = {
    ("R1", 0): "5af080321f1894a77cab074f978e6526ead9c097f9d1700c5070d7fe77a00bd5",
    ("R2", 0): "34677754025df061cdd49ad3f3202bc2861826b3f9cb6c5a5b35ecb32ab68b5b",
    ("R5-half", 1000): "17b8efd6160d4112cf5b3c7d79e50213cc0f3f5c077006e597b6af2a8440c3e0",
    ("R6", 0): "c097ad240a5b9ff70ae740eb823d914cb32dd165525175763549852e39797f2c",
    ("R7", 0): "4aef3aa93bb5f02c16c9f50626e03dc4edaac5c30f0484e06dfed9ec9f422b47",
    ("R8", 0): "b086d893790ac7ea91256d2414789b302dcf0086baecce30e2a6b8e658c3afca",
    ("raw", 0): "a4348d3627e69bc96e8ce361b724524d3d189758a031e8186228049058bfbcec",
}
"""Of `micro` as it is since `micro@2`."""
FINALS_1 = {
    ("R1", 0): "ee23678645057af64c0da00f0afe1b46b94b7e1299cda60657a417213976ab67",
    ("R2", 0): "025abbf9acde0776a89bee5d9789c7a6044cb425458e1d6ac3518a1336118afc",
    ("R5-half", 1000): "44f425d8b1b13a5ef645befed1d4738550fc2575eea49c86768022395e594ad0",
    ("R6", 0): "4f38bb4dca6626249b6593227c7a2742303feb2c874276dcd7ba0037fe1a7298",
    ("R7", 0): "11c467f9c6664dfbc0721d8c93d3301edbf3a9e50110d0754855f0dd80f3a6e5",
    ("R8", 0): "3c0f094c0412444217babbf4ff480759717d5221b35a140781304175ee2a2126",
    ("raw", 0): "a4348d3627e69bc96e8ce361b724524d3d189758a031e8186228049058bfbcec",
}
"""With the recipe of `micro@1`: 30 steps a block, all of which draw from all labels bought so far."""
GRADED_BEFORE = {
    ("R1", 0): "e2796d8f9f96d2cc0757e6066d37c903dadb5126fab1c0c7f399e5381ff2ca6f",
    ("R2", 0): "0eeb66b6f74fce5e8b55367417f080b87da3903e5dd06da006d87c3df3895f05",
    ("R5-half", 1000): "560ba2feaad618180d61f3133258c7e4dfee5eaaaf49b00e1d8f602ad806c59b",
    ("R6", 0): "1dc7cfdfe7876e551d4ddb56cd2391a09325372d12bfc49cda52215006900897",
    ("R7", 0): "31a7ecb0e52b89e13e60b6dab7faa56660cf1d0804ff4a9ca2e4eb7195210826",
    ("R8", 0): "bee06804391ef071b638c2c41c95b3e93461b9311836a2065aaa0259e22b0909",
    ("raw", 0): "a4348d3627e69bc96e8ce361b724524d3d189758a031e8186228049058bfbcec",
}
"""With that recipe and `grading: tuition-1`, by which everything was graded until 2026-11-30."""


@pytest.fixture(scope="module")
def micro() -> Scenario:
    return Scenario.load("micro")


@pytest.fixture(scope="module")
def micro_1(micro: Scenario) -> Scenario:
    return version_1(micro)


def final(scenario: Scenario, name: str, seed: int) -> str:
    search, teacher = scenario.file.search, scenario.default_teacher
    named = named_allocations(teacher, scenario.num_label_blocks, search.bridge_warmup, search.bridge_opd)
    return compile_route(named[name], scenario.recipe, seed).final


@pytest.mark.parametrize(("name", "seed"), FINALS_2)
def test_a_route_has_the_keys_that_it_had(name: str, seed: int, micro: Scenario, micro_1: Scenario) -> None:
    assert final(micro, name, seed) == FINALS_2[name, seed]
    assert final(micro_1, name, seed) == FINALS_1[name, seed]


def test_by_the_policy_of_before_all_routes_have_the_keys_of_before(micro_1: Scenario) -> None:
    before = Scenario(micro_1.file.model_copy(update={"grading": "tuition-1"}), micro_1.folder)
    assert {(name, seed): final(before, name, seed) for name, seed in GRADED_BEFORE} == GRADED_BEFORE
