"""`tuition bench`; `tuition.app.scoring.bench_tasks` and `bench_scores` do the work."""

from enum import StrEnum
from typing import Annotated

import typer

from tuition.app.commands.options import DEFAULT_RESULTS, DataOption, JsonOption, ResultsOption
from tuition.app.processes.silence import silence_libraries


class EngineChoice(StrEnum):
    """What draws the completions."""

    transformers = "transformers"
    """`generate` in this process."""
    vllm = "vllm"
    """vLLM in this process; install it yourself."""
    server = "server"
    """Any OpenAI-compatible server, by --url."""


class DtypeChoice(StrEnum):
    """The type that the model computes in."""

    float32 = "float32"
    """Exact enough to repeat, slow on a GPU."""
    bfloat16 = "bfloat16"
    """What large models are served in."""


def bench(
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A folder, a Hub id, a block's key, base:student, or the name a server serves."
        ),
    ],
    suite: Annotated[str, typer.Option(help="Suites, with commas: math500,aime24,micro. `tuition suites list`.")],
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples of each problem; default: the preset's own.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="paper, authors-script, greedy, a scenario's name or file; default: paper; micro: its scenario's."
        ),
    ] = None,
    engine: Annotated[EngineChoice, typer.Option(help="What draws the completions.")] = EngineChoice.transformers,
    url: Annotated[str | None, typer.Option(help="Of the server, as http://localhost:8000/v1.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests that a server gets at once.")] = 16,
    data_dir: DataOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many problems; the suite's name then says so.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    results: ResultsOption = DEFAULT_RESULTS,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            "-s",
            help="Whose base:…, adapters' bases and batches; default: a generated suite's own.",
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sequences drawn and kept together.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Another limit than the preset's; marked.")] = None,
    chat: Annotated[
        bool | None,
        typer.Option("--chat/--no-chat", help="With or without the chat template, against the preset; marked."),
    ] = None,
    dtype: Annotated[DtypeChoice, typer.Option(help="The type that the model computes in.")] = DtypeChoice.float32,
    json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Score a checkpoint on suites: avg@k with its errors, pass@k and maj@k, kept as per-sample outcomes.

    Stopped or killed, the same command goes on where it was; done, it draws nothing again.
    """
    from tuition.app.processes.terminal import print_json
    from tuition.app.scoring.bench_scores import run_bench, show_bench
    from tuition.app.scoring.bench_tasks import BenchRequest

    silence_libraries()
    document = run_bench(
        BenchRequest(
            model=model,
            suites=tuple(name.strip() for name in suite.split(",") if name.strip()),
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
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            chat=chat,
            dtype=dtype.value,
            quiet=quiet,
        )
    )
    print_json(document) if json else show_bench(document)
