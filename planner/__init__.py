"""What to spend: allocations, their routes and cost, and the search over them. Imports no sibling package."""

from tuition.planner.allocation import Allocation, AllocationError, named_allocations, replay_control
from tuition.planner.cost import BlockCosts, CheckpointState, missing_blocks
from tuition.planner.route import Block, Label, Recipe, RecipeError, Route, compile_route, derive_seed
from tuition.planner.sampler import SAMPLERS, SamplerError, SeededSampler
from tuition.planner.space import SearchSpace, SpaceError
from tuition.planner.storage import StudyError
from tuition.planner.study import (
    Outcome,
    SearchError,
    StudyLimits,
    enqueue,
    finalists,
    open_study,
    release_dead_trials,
    search,
)

__all__ = [
    "SAMPLERS",
    "Allocation",
    "AllocationError",
    "Block",
    "BlockCosts",
    "CheckpointState",
    "Label",
    "Outcome",
    "Recipe",
    "RecipeError",
    "Route",
    "SamplerError",
    "SearchError",
    "SearchSpace",
    "SeededSampler",
    "SpaceError",
    "StudyError",
    "StudyLimits",
    "compile_route",
    "derive_seed",
    "enqueue",
    "finalists",
    "missing_blocks",
    "named_allocations",
    "open_study",
    "release_dead_trials",
    "replay_control",
    "search",
]
