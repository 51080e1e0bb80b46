"""The planners of the race. To add one, add a `Planner` to `PLANNERS`; one that is a sampler of a study is a `_Study`.

Those of Optuna run as `tuition search` runs them: on the same study code, with Optuna's own defaults, and `-named` with
the named routes queued first. They answer with the best validated trial. What a planner is charged is what the store
does not hold yet, but for `tpe-scratch`, which pays for every trial in full, as one who calls a training script does.

No planner begins what does not fit the money left: a search is played anew for every budget.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from tuition.benchmarks.baselines import DIRECT, EVALUATED_FIRST, UPSTREAM
from tuition.benchmarks.planning.buying_rules import BuyingRule, eeipu, gittins
from tuition.benchmarks.planning.contestant import Game, Likeness, Planner, RaceError, Step, interval
from tuition.benchmarks.planning.gaussian_process import play_gp_ei
from tuition.planner.allocation import Allocation, Checkpoint
from tuition.planner.planning.planner import Costs, Ideas, View
from tuition.planner.planning.sampler import STRUCTURAL, Rule, StructuralSampler
from tuition.planner.planning.warm_start import WARM_START
from tuition.planner.route import Route, derive_seed
from tuition.planner.sampler import SAMPLERS, SeededSampler
from tuition.planner.scores.observations import Observation, observations, untrained
from tuition.planner.scores.outcome import Outcome
from tuition.planner.searching.trial_loop import SearchOptions, StudyLimits
from tuition.planner.space import SearchSpace
from tuition.planner.study import enqueue, search
from tuition.planner.trials import REPEAT_OF

WIDTH = 8
"""Splits that successive halving begins with; our choice."""
MOST_IDLE = 20
"""After so many brackets in which nothing new fits, successive halving ends."""


@dataclass(frozen=True)
class _Study:
    """A search by a study.

    Attributes:
        sampler: made for the game.
        first: names of the routes that are queued first.
        reuse: whether what is in the store is not charged again.
        on_the_way: whether allocations on the way are scored and told to the study, whatever the sampler asks for.
        warm: of which proxy of the game it is given the scores.
        recommend: the last step with what a sampler with a model would hand over; without, both answers are the best
            validated trial.
    """

    sampler: Callable[[Game], BaseSampler]
    first: tuple[str, ...] = ()
    reuse: bool = True
    on_the_way: bool = False
    warm: Likeness | None = None
    recommend: Callable[[optuna.Study, Step], Step] | None = None

    def __call__(self, game: Game) -> Sequence[Step]:
        replay = game.replay
        study = optuna.create_study(direction="maximize", sampler=self.sampler(game))
        if self.warm is not None:
            assert game.proxy is not None, "a game for planners with a warm start needs a proxy"
            study.set_user_attr(WARM_START, game.proxy(self.warm).model_dump(mode="json"))
        first = [game.named[name] for name in self.first if name in game.named]
        enqueue(study, replay.space, replay.nearest_route, first)

        def evaluate(number: int, allocation: Allocation, route: Route, on_the_way: Sequence[Checkpoint]) -> Outcome:
            store = replay if self.reuse else replay.emptied()
            return store.evaluate(number, allocation, route, on_the_way)

        def passed(allocation: Allocation) -> list[Checkpoint]:
            """What can be scored: on an incomplete table the nearest route is evaluated, and may pass little of it."""
            there = replay.checkpoints(replay.nearest_route(allocation).allocation)
            way = [one for one in allocation.checkpoints()[:-1] if one in there]
            return [one for one in way if isinstance(one, Allocation) and replay.space.holds(one)]

        def price(route: Route, on_the_way: Sequence[Checkpoint]) -> float:
            store = replay if self.reuse else replay.emptied()
            return store.price(route, on_the_way)

        def stuck(study: optuna.Study, trial: FrozenTrial) -> None:
            """On an incomplete table a proposal may stand for what is known already; a model then proposes it again."""
            if self.recommend is not None and REPEAT_OF in trial.user_attrs:
                study.stop()

        options = SearchOptions(
            on_trial=stuck,
            score_on_the_way=passed if self.on_the_way else None,
            # Tables of earlier formats have no scores of base models: a sampler that asks for them goes without.
            score_untrained=replay.evaluate_untrained if replay.has_base_models else None,
        )
        limits = StudyLimits(gpu_seconds=game.budget, price=price)
        search(study, replay.space, replay.nearest_route, evaluate, limits, options)
        steps = best_validated(
            (
                (Allocation.parse(trial.user_attrs["allocation"]), trial.user_attrs["gpu_seconds"], trial.value)
                for trial in study.get_trials(deepcopy=False)
                if trial.value is not None
            ),
            sum(score.gpu_seconds for score in untrained(study).values()),
        )
        if self.recommend is not None:
            steps[-1] = self.recommend(study, steps[-1])
        return steps


def best_validated(trials: Iterable[tuple[Allocation, float, float]], spent: float = 0.0) -> list[Step]:
    """Steps of (allocation, GPU-seconds, validation score); the earlier one stays where two are equal.

    `spent` before the first of them, without an answer.
    """
    steps = [Step(spent, None, None, 0)]
    number, best, chosen = 0, float("-inf"), None
    for allocation, cost, value in trials:
        spent += float(cost)
        number += cost > 0  # neither a repetition nor what another trial passed
        if value > best:
            best, chosen = value, allocation
        steps.append(Step(spent, chosen, chosen, number))
    return steps


@dataclass(frozen=True)
class _Rule:
    """One named route, and nothing else: it is named for nothing, and trained for its full cost."""

    route: str

    def __call__(self, game: Game) -> Sequence[Step]:
        chosen = game.best_named(self.route)
        cost = game.replay.run(chosen).gpu_seconds
        return [Step(0.0, chosen, None, 0), Step(cost, chosen, chosen, 1)]


def _halving(game: Game) -> Sequence[Step]:
    """Successive halving over label budgets: `WIDTH` random splits with a quarter of the labels, the better half of
    them with half of the labels, the better half of those with all; then the next ones, until nothing fits."""
    replay, spent = game.replay, 0.0
    trials: list[tuple[Allocation, float, float]] = []
    proposals = iter(_splits(replay.space, game.seed))
    known: dict[Allocation, float] = {}

    def evaluate(params: Mapping[str, Any], labels: int) -> float:
        nonlocal spent
        allocation = replay.space.decode({**params, "label_blocks": labels})
        assert allocation is not None, "it was feasible with all labels"
        evaluated = replay.nearest_route(allocation).allocation
        if evaluated not in known:
            if spent + replay.marginal_cost(evaluated).gpu_seconds > game.budget:
                return float("-inf")
            cost = replay.run(evaluated).gpu_seconds
            known[evaluated] = replay.score(evaluated)[0].mean
            spent += cost
            trials.append((evaluated, cost, known[evaluated]))
        return known[evaluated]

    most, idle = replay.space.num_label_blocks, 0
    while idle < MOST_IDLE:
        before = len(trials)
        rung = list(itertools.islice(proposals, WIDTH))
        for labels in dict.fromkeys(max(1, most * part // 4) for part in (1, 2, 4)):
            scored = sorted(((evaluate(params, labels), params) for params in rung), key=lambda pair: -pair[0])
            rung = [params for _, params in scored[: max(1, len(scored) // 2)]]
        idle = idle + 1 if len(trials) == before else 0
    return best_validated(trials)


def _splits(space: SearchSpace, seed: int) -> Iterator[dict[str, Any]]:
    """Parameters of random allocations, forever."""
    for number in itertools.count():
        for allocation in space.random_allocations(WIDTH, derive_seed(seed, "halving", number)):
            yield space.params_of(allocation)


def _structural(game: Game, ideas: Ideas | None = None, rule: BuyingRule | None = None) -> BaseSampler:
    """Tuition's own planner."""
    replay = game.replay
    costs = Costs(replay.block_seconds, replay.score_seconds, replay.states_kept)
    buys: Rule = View.propose if rule is None else lambda view, money: rule(view, money, game.budget)
    return StructuralSampler(replay.space, lambda study: costs, game.seed, ideas, buys)


def _recommended(study: optuna.Study, step: Step) -> Step:
    assert isinstance(study.sampler, StructuralSampler), f"{study.sampler} recommends nothing"
    view = study.sampler.view(study)
    named, trained = view.best(), view.best_trained()
    return replace(
        step,
        named=named.allocation,
        trained=None if trained is None else trained.allocation,
        expected=interval(named.mean, named.sd),
    )


def _shipped(name: str) -> Callable[[Game], BaseSampler]:
    """A sampler that `tuition search` offers."""
    return lambda game: SeededSampler(name, game.seed)


OURS_REVISION = 2
"""Raised whenever our planner proposes otherwise."""


def _ours(
    name: str,
    about: str,
    ideas: Ideas | None = None,
    rule: BuyingRule | None = None,
    first: tuple[str, ...] = (),
    warm: Likeness | None = None,
) -> Planner:
    """Tuition's own planner, or a variant of it."""
    search = _Study(partial(_structural, ideas=ideas, rule=rule), first=first, warm=warm, recommend=_recommended)
    return Planner(name, about, search, revision=OURS_REVISION)


@dataclass(frozen=True)
class Ended:
    """A search by Tuition's own planner at its end: its answers, what it thinks, and what it saw."""

    step: Step
    view: View
    observed: Sequence[Observation]


def search_of_ours(game: Game, first: tuple[str, ...] = ()) -> Ended:
    """A search by Tuition's own planner, after the named routes that are queued first."""
    ended: list[optuna.Study] = []

    def look(study: optuna.Study, step: Step) -> Step:
        ended.append(study)
        return _recommended(study, step)

    steps = _Study(_structural, first=first, recommend=look)(game)
    (study,) = ended
    assert isinstance(study.sampler, StructuralSampler)
    return Ended(steps[-1], study.sampler.view(study), observations(study))


ABLATIONS = tuple(
    _ours(f"{STRUCTURAL}-no-{name}", f"{STRUCTURAL} without {what}", ideas)
    for name, what, ideas in (
        ("structure", "the forms of stages: a Gaussian process about a constant", Ideas(structure=False)),
        ("counter-forms", "what can be otherwise than the plain forms", Ideas(counter_forms=False)),
        ("residual", "a residual: the forms must explain everything", Ideas(residual=False)),
        ("flat-members", "members of the prior that know no forms", Ideas(flat_members=False)),
        ("scores-on-the-way", "scores on the way, of teachers and of students", Ideas(scores_on_the_way=False)),
        ("teacher-scores", "scores of teachers on the way", Ideas(teachers_scores=False)),
        ("reserve", "money that is kept back to train the answer", Ideas(reserve=False)),
    )
)
"""Tuition's own planner without one of its ideas each."""
OTHER_RULES = (
    _ours(f"{STRUCTURAL}-eeipu", f"{STRUCTURAL} that buys as EEIPU does", rule=eeipu),
    _ours(f"{STRUCTURAL}-gittins", f"{STRUCTURAL} that buys by the Gittins index", rule=gittins),
)
"""The same with another rule of what to buy."""
WARM_STARTS = (
    _ours(f"{STRUCTURAL}-warm-right", f"{STRUCTURAL} with scores of a proxy that is like it", warm="right"),
    _ours(f"{STRUCTURAL}-warm-wrong", f"{STRUCTURAL} with scores of a proxy that lies", warm="wrong"),
)
"""The same with another scenario's scores."""

PLANNERS: dict[str, Planner] = {
    planner.name: planner
    for planner in (
        _ours(STRUCTURAL, "Tuition's own planner"),
        _ours(f"{STRUCTURAL}-named", "the named routes, then Tuition's own planner", first=EVALUATED_FIRST),
        _ours(f"{STRUCTURAL}-direct", "direct GRPO, then Tuition's own planner", first=(DIRECT,)),
        *ABLATIONS,
        *OTHER_RULES,
        *WARM_STARTS,
        *(Planner(name, f"Optuna's {name} sampler", _Study(_shipped(name))) for name in SAMPLERS),
        *(
            Planner(f"{name}-named", f"the named routes, then {name}", _Study(_shipped(name), first=EVALUATED_FIRST))
            for name in SAMPLERS
        ),
        Planner("tpe-scratch", "TPE, every trial charged in full", _Study(_shipped("tpe"), reuse=False)),
        Planner("tpe-told", "TPE, scores on the way told to it", _Study(_shipped("tpe"), on_the_way=True)),
        Planner("gp-ei", "a Gaussian process with scores on the way, EI per cost", play_gp_ei, draws=False),
        Planner("halving", "successive halving over label budgets", _halving),
        Planner("rule", "the paper's rule: all labels upstream, then the bridge", _Rule(UPSTREAM), draws=False),
        Planner("half", "half of the labels upstream, then the bridge", _Rule("half"), draws=False),
        Planner("direct", "direct GRPO: all labels on the student, no bridge", _Rule("direct"), draws=False),
    )
}
"""By name, in the order of tables."""


ON_REQUEST = (
    "gp",
    "gp-named",
    f"{STRUCTURAL}-direct",
    *(planner.name for planner in (*ABLATIONS, *OTHER_RULES, *WARM_STARTS)),
)
"""They play only when they are asked for: Optuna's Gaussian process takes ten seconds a search and more, and what ideas
are worth is a question of its own."""
ALL = "all"


def choose_planners(names: Sequence[str]) -> list[Planner]:
    """The planners of these names, in the order of tables; `ALL`, and for no name all but those on request.

    A name may be a pattern: "structural-no-*". RaceError for one that fits no planner.
    """
    for name in names:
        if name != ALL and not any(fnmatchcase(planner, name) for planner in PLANNERS):
            raise RaceError(f"unknown planner {name!r}; choose from {', '.join(PLANNERS)}, or {ALL}")
    wanted = names or tuple(PLANNERS.keys() - set(ON_REQUEST))
    return [one for one in PLANNERS.values() if any(name == ALL or fnmatchcase(one.name, name) for name in wanted)]
