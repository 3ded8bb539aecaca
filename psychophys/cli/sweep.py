"""The command `sweep`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.names import ENGINES, either
from psychophys.cli.options import Asked, Exclude, From, measurement_options

if TYPE_CHECKING:
    from psychophys.observers.names import Job
    from psychophys.sweeps.engines import Engine
    from psychophys.sweeps.sweep import Sweep
    from psychophys.sweeps.tasks import Task

SOME_FAILED = 3
SHOWN = 20


@measurement_options
def sweep(
    asked: Asked,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="timm names and quoted filters, hf-hub: or local-dir: sources."),
    ] = None,
    models_file: Annotated[
        Path | None, typer.Option(help="Text file of more names and filters, one a line; # comments.")
    ] = None,
    exclude: Exclude = None,
    source: From = None,
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="Every set of weights of a model (its tags), not one.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the results.")] = Path(
        "results"
    ),
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done, how long it takes (as past runs did) and the download."
        ),
    ] = False,
    largest_first: Annotated[
        bool, typer.Option("--largest-first", help="Begin with the networks of most parameters.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed.")] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do part I of N alone, I from 1 to N.")
    ] = None,
    engine: Annotated[str, typer.Option(help=f"{either(ENGINES)}.")] = "processes",
    jobs: Annotated[
        int | None, typer.Option(help="Measurements at a time. Default: one for each GPU, or one.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a measurement is given up.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; auto finds it. Default: one on this machine.")
    ] = None,
    cpus: Annotated[int, typer.Option(help="CPUs for each measurement (ray).")] = 1,
    prefetch: Annotated[
        int, typer.Option(metavar="N", help="Download the weights of the next N models meanwhile.")
    ] = 2,
    cache_limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of downloaded weights, as 50GB: used ones are removed beyond it."),
    ] = None,
) -> None:
    """Measure many models into one directory; begun again, it goes on where it was.

    Models are measured in processes of their own: one that crashes costs one model. Exit code 3: the
    sweep is through, and some models failed.

    \b
    Examples:
      psychophys sweep 'resnet*' 'vit_*' --exclude '*_clip*' -o results --dry-run
      psychophys sweep 'resnet*' --pretrained --weights pretrained,random,shuffled
      psychophys sweep --models-file zoo.txt --shard $SLURM_ARRAY_TASK_ID/8
      psychophys sweep 'convnext*' --engine ray --address auto
      psychophys sweep '*' --pretrained --largest-first --cache-limit 200GB -o zoo
    """
    from psychophys.cli.tables.sweeps import print_forecast, print_plan, print_tasks
    from psychophys.cli.values import parse_bytes
    from psychophys.observers.imports import import_modules
    from psychophys.observers.names import find_models, read_names
    from psychophys.sweeps.order import largest_first as in_order
    from psychophys.sweeps.store import Store
    from psychophys.sweeps.sweep import Sweep, take_shard

    gc.enable()  # It was off for the imports; the process that keeps a sweep may live for days.
    chosen = _choose_engine(engine, asked.device, jobs, timeout, address, cpus)
    import_modules(asked.imports)
    filters = [*(patterns or []), *(read_names(models_file) if models_file else [])]
    if not filters and source is None:
        raise UsageError("no model is named", "Write `psychophys sweep 'resnet*'`, or give --models-file.")
    models = find_models(filters, pretrained=pretrained, exclude=exclude or []) if filters else []
    tasks, left_out = _plan(models, asked, source)
    tasks = in_order(tasks) if largest_first else tasks
    part = tasks if shard is None else take_shard(tasks, shard)
    limit = None if cache_limit is None else parse_bytes(cache_limit)
    planned = Sweep(part, Store(output), retry_failed, prefetch, limit)
    asked.say_notes()
    if not dry_run:
        _run(planned, left_out, asked, chosen)
        return
    print_tasks(planned)
    if not asked.quiet:
        print_plan(planned, left_out)
        if planned.to_do:
            print_forecast(planned, asked.device)


def _plan(models: list[str], asked: Asked, source: Path | None) -> tuple[list[Task], int]:
    """What can be measured, and how many measurements lack the weights."""
    from psychophys.cli.repeating import tasks_of
    from psychophys.observers.names import has_pretrained

    tasks, _ = tasks_of(models, asked, None, source)
    measurable = [t for t in tasks if _has_weights(t.job) or has_pretrained(t.job.model)]
    if not measurable:
        raise UsageError("none of these models has pretrained weights", "Add --weights random.")
    return measurable, len(tasks) - len(measurable)


def _has_weights(job: Job) -> bool:
    return job.weights == "random" or job.checkpoint is not None


def _choose_engine(
    name: str, device: str, jobs: int | None, timeout: float | None, address: str | None, cpus: int
) -> Engine:
    """The engine of that name; :class:`UsageError` for options that it cannot keep."""
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.sweeps.engines import ENGINES, Processes, Ray, Serial

    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name == "ray":
        return Ray(address, jobs, device, cpus, timeout=timeout)
    if address is not None or cpus != 1:
        raise UsageError("--address and --cpus are for the engine ray", "Add --engine ray.")
    if name == "processes":
        return Processes(jobs, device, timeout)
    if jobs not in (None, 1) or timeout is not None:
        raise UsageError("the engine serial knows no --jobs and no --timeout", "Use --engine processes.")
    pick_device(device)
    keep_freed_memory()
    return Serial()


def _run(sweep: Sweep, left_out: int, asked: Asked, engine: Engine) -> None:
    """Run the sweep with a line or a bar, then print the ranking and the failures."""
    import sys

    from rich.console import Console

    from psychophys.cli.display import print_failures, print_ranking
    from psychophys.cli.tables.sweeps import counts, print_plan, run_visibly
    from psychophys.results.thresholds import concat, read
    from psychophys.sweeps.sweep import State

    sweep.store.prepare()
    console = Console(stderr=True)
    if not asked.quiet:
        print_plan(sweep, left_out)
    run_visibly(sweep, engine, console, asked.quiet)
    failures = [note for task in sweep.tasks if (note := sweep.store.failure(task)) is not None]
    if not asked.quiet:
        done = [task for task in sweep.tasks if sweep.state(task) is State.DONE]
        if done:
            print_ranking(console, concat(read(sweep.store.path(task)) for task in done), top=SHOWN)
    print_failures(console, failures)
    if not asked.quiet:
        print(f"{counts(sweep)}; results in {sweep.store.folder}", file=sys.stderr)
    if sweep.count(State.FAILED):
        raise typer.Exit(SOME_FAILED)
