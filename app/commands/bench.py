"""`tuition bench`: `tuition.score` on the command line."""

from enum import StrEnum
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, DataOption, JsonOption, PolicyOption, ResultsOption


class EngineChoice(StrEnum):
    """What generates the completions."""

    transformers = "transformers"
    """`generate` in this process."""
    vllm = "vllm"
    """vLLM in this process; install it yourself."""
    server = "server"
    """Any OpenAI-compatible server, by --url."""


class DtypeChoice(StrEnum):
    """The type that the model computes in."""

    float32 = "float32"
    """Reproducible, slow on a GPU."""
    bfloat16 = "bfloat16"
    """Usual for large models."""


def bench(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A folder, a Hub id, a block's key, base:student, or the model's name on the server."
        ),
    ],
    suite: Annotated[
        str, typer.Option(help="Suites, separated by commas: math500,aime24,micro. `tuition suites list` lists them.")
    ],
    samples: Annotated[int | None, typer.Option(min=1, help="Samples per problem; default: the preset's.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="paper, authors-script, greedy, or a scenario's name or file. Default: paper; for generated suites, "
            "their scenario's."
        ),
    ] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What generates the completions.")] = EngineChoice.transformers,
    url: Annotated[str | None, typer.Option(help="URL of the server, such as http://localhost:8000/v1.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Simultaneous requests to the server.")] = 16,
    data_dir: DataOption = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Number of problems to score, from the first on; the suite's name then says so."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            "-s",
            help="Scenario for base:… models, adapters' bases and batch sizes. Default: that of a generated suite.",
        ),
    ] = None,
    policy: PolicyOption = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sequences generated and saved together.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Override the preset's limit; the score says so.")
    ] = None,
    chat: Annotated[
        bool | None,
        typer.Option("--chat/--no-chat", help="Override the preset's use of the chat template; the score says so."),
    ] = None,
    dtype: Annotated[DtypeChoice, typer.Option(help="Type that the model computes in.")] = DtypeChoice.float32,
    json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Score a checkpoint on suites: avg@k with its errors, pass@k and maj@k, kept as per-sample outcomes.

    If interrupted, rerun the same command to resume; scores that are complete are reused.
    """
    from tuition.app.api import models
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.bench_tables import show_bench

    result = models.score(
        model,
        suite,
        samples=samples,
        preset=preset,
        engine=engine.value,
        url=url,
        concurrency=concurrency,
        data_dir=data_dir,
        limit=limit,
        seed=seed,
        results=results,
        scenario=scenario,
        policy=policy,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        chat=chat,
        dtype=dtype.value,
        quiet=quiet,
    )
    print_json(result.document()) if json else show_bench(result)
