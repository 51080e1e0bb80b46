"""The Python API's functions for checkpoints and completions: `score`, `grade`, `export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from tuition.app.api.arguments import RESULTS, ArgumentError, as_command, at_least, one_of
from tuition.benchmarks.grading.policies import DEFAULT_POLICY, POLICIES

# Types alone: torch, pandas and Optuna wait until a function needs them.
if TYPE_CHECKING:
    from tuition.app.scoring.bench_result import BenchResult
    from tuition.app.scoring.bench_tasks import EngineName
    from tuition.app.storage.exported_model import ExportedModel
    from tuition.benchmarks.grading.grader import Grade

    Texts = list[str] | tuple[str, ...]

DTYPES = ("float32", "bfloat16")


def score(
    model: str | Path,
    suite: str | Sequence[str],
    *,
    samples: int | None = None,
    preset: str | None = None,
    engine: EngineName = "transformers",
    url: str | None = None,
    concurrency: int = 16,
    data_dir: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    results: str | Path = RESULTS,
    scenario: str | None = None,
    policy: str | None = None,
    batch_size: int | None = None,
    max_new_tokens: int | None = None,
    chat: bool | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    quiet: bool = True,
) -> BenchResult:
    """Score a checkpoint on suites, as `tuition bench`: avg@k with its errors, pass@k and maj@k.

    `model` is a folder, a Hub id, a block's key, `base:student`, or the name that a server serves. Every score is kept
    with its samples, and is not drawn again.

    >>> import tuition
    >>> (result,) = tuition.score("base:student", "micro", limit=2, samples=2).scores
    >>> result.suite, result.score.num_problems, result.score.num_samples
    ('micro-test@1/384[:2]', 2, 2)
    >>> bool(result.samples["correct"].mean() == result.score.mean)
    True

    Raises:
        BenchError: for settings that do not go together.
        SuiteError, ModelError: for a suite or a model that is unknown or cannot be read.
        ArgumentError: for a number out of range, or an engine or a type that is unknown.
    """
    at_least(1, samples=samples, limit=limit, batch_size=batch_size, max_new_tokens=max_new_tokens)
    at_least(1, concurrency=concurrency)
    at_least(0, seed=seed)
    one_of(DTYPES, dtype=dtype)
    one_of((None, *POLICIES), policy=policy)
    with as_command(results):
        from tuition.app.scoring.bench_scores import run_bench
        from tuition.app.scoring.bench_tasks import BenchRequest, EngineName

        one_of(get_args(EngineName), engine=engine)
        named = suite.split(",") if isinstance(suite, str) else suite
        request = BenchRequest(
            model=str(model),
            suites=tuple(name.strip() for name in named if name.strip()),
            samples=samples,
            preset=preset,
            engine=engine,
            url=url,
            concurrency=concurrency,
            data_dir=None if data_dir is None else Path(data_dir),
            limit=limit,
            seed=seed,
            results=Path(results),
            scenario=scenario,
            policy=policy,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            chat=chat,
            dtype=dtype,
            quiet=quiet,
        )
        return run_bench(request)


@overload
def grade(
    gold: str, completion: str, *, workers: int | None = None, timeout: float = 5.0, policy: str = DEFAULT_POLICY
) -> Grade: ...


@overload
def grade(
    gold: Texts, completion: Texts, *, workers: int | None = None, timeout: float = 5.0, policy: str = DEFAULT_POLICY
) -> list[Grade]: ...


def grade(
    gold: str | Texts,
    completion: str | Texts,
    *,
    workers: int | None = None,
    timeout: float = 5.0,
    policy: str = DEFAULT_POLICY,
) -> Grade | list[Grade]:
    r"""Say whether a completion's final answer is the checked one; for lists, whether each is, in order.

    `timeout` is in seconds for each answer; `workers` is the number of processes, by default one for one answer and
    the cores (at most 8) for many. `policy` says what is right: "tuition-2", "math-verify", "last-box" and "tuition-1",
    which is what graded before.

    >>> import tuition
    >>> grade = tuition.grade("1/2", r"Half of it, so \boxed{0.5}.")
    >>> grade.correct, str(grade.verdict)
    (True, 'correct')
    >>> [str(each.verdict) for each in tuition.grade(["7", "7"], [r"\boxed{8}", "I cannot say."], workers=1)]
    ['wrong', 'no_answer']

    Raises:
        ValueError: for an empty gold answer, or lists that differ in length.
        ArgumentError: for what is no text, or one text beside a list.
    """
    at_least(1, workers=workers)
    one_of(tuple(POLICIES), policy=policy)
    from tuition.app.scoring.graded_outputs import default_workers
    from tuition.benchmarks.grading.grader import Grader

    if isinstance(gold, str) and isinstance(completion, str):
        with Grader(timeout, workers or 1, policy) as grader:
            return grader.grade(gold, completion)
    if isinstance(gold, str) or isinstance(completion, str):
        raise ArgumentError("gold and completion: give two strings, or two lists of strings")
    for name, texts in (("gold", gold), ("completion", completion)):
        if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
            raise ArgumentError(f"{name}={texts!r:.80}; give a string, or a list of strings")
    with Grader(timeout, workers or default_workers(), policy) as grader:
        return grader.grade_many(gold, completion)


def export(
    what: str,
    to: str | Path,
    *,
    hub: str | None = None,
    study: str | None = None,
    seed: int | None = None,
    results: str | Path = RESULTS,
    scenario: str | Path = "micro",
) -> ExportedModel:
    """Write what a run left as a plain transformers folder with a model card.

    `what` is an allocation or a named route, a row of `study`, or the beginning of a block's key; `to` is a folder
    that does not exist or is empty; `hub` is a private repository to upload it to.

    >>> import tuition
    >>> done = tuition.run("student_rl=1", "micro")
    >>> exported = tuition.export("student_rl=1", "my-model")
    >>> exported.key == done.blocks[-1].key, (exported.folder / "config.json").exists()
    (True, True)

    Raises:
        StoreError: for a run or a block that is not in the store, and a folder that holds something.
    """
    with as_command(results):
        from dataclasses import replace

        from tuition.app.storage.exported_model import export_block, find_run, upload

        key = find_run(Path(results), what, study, str(scenario), seed)
        exported = export_block(Path(results), key, Path(to), str(scenario))
        return exported if hub is None else replace(exported, hub=upload(exported.folder, hub))
