"""What `psychophys sweep` does once its options are parsed."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.commands import make_tasks
from psychophys.cli.display import print_failures, print_ranking
from psychophys.cli.options import Asked
from psychophys.observers.imports import import_modules
from psychophys.observers.names import find_models, has_pretrained, read_names
from psychophys.observers.observer import pick_device
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.thresholds import concat, read
from psychophys.sweeps.engines import ENGINES, Engine, Processes, Ray, Serial
from psychophys.sweeps.forecast import estimate
from psychophys.sweeps.store import Store
from psychophys.sweeps.sweep import State, Sweep, take_shard
from psychophys.sweeps.tasks import Outcome, Task

SOME_FAILED = 3
SHOWN = 20


@dataclass(frozen=True)
class Request:
    """Which models a command line names."""

    patterns: list[str]
    models_file: Path | None
    exclude: list[str]
    pretrained: bool
    shard: str | None


def plan_sweep(request: Request, asked: Asked, output: Path, retry_failed: bool) -> tuple[Sweep, int]:
    """The sweep, or the part of it that is asked for, and how many measurements are left out."""
    import_modules(asked.imports)
    patterns = [*request.patterns, *(read_names(request.models_file) if request.models_file else [])]
    if not patterns:
        raise UsageError("no model is named", "Write `psychophys sweep 'resnet*'`, or give --models-file.")
    models = find_models(patterns, pretrained=request.pretrained, exclude=request.exclude)
    tasks = make_tasks(models, asked)
    measurable = [t for t in tasks if t.job.weights == "random" or has_pretrained(t.job.model)]
    if not measurable:
        raise UsageError("none of these models has pretrained weights", "Add --weights random.")
    left_out = len(tasks) - len(measurable)
    if request.shard is not None:
        measurable = take_shard(measurable, request.shard)
    return Sweep(measurable, Store(output), retry_failed), left_out


def preview(sweep: Sweep, left_out: int, asked: Asked) -> None:
    """Print every measurement and where it stands; then what the rest will cost."""
    for task in sweep.tasks:
        print(f"{sweep.state(task).value}  {task.job.model} {task.job.weights}")
    if asked.quiet:
        return
    _print_plan(sweep, left_out)
    if sweep.to_do:
        guess = estimate(sweep.to_do, asked.device)
        if not guess.sampled:
            print("no telling how long it will take: these models cannot be looked into", file=sys.stderr)
            return
        note = f" (from {guess.sampled} of {guess.models} models)" if guess.sampled < guess.models else ""
        size = guess.download_bytes / 1e9
        line = f"about {_duration(guess.seconds)} here, one at a time, and {size:.1f} GB to download{note}"
        print(line, file=sys.stderr)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _print_plan(sweep: Sweep, left_out: int) -> None:
    if left_out:
        why = "without pretrained weights (--weights random takes them)"
        print(f"left out: {left_out} {why}", file=sys.stderr)
    print(_counts(sweep), file=sys.stderr)


def _counts(sweep: Sweep) -> str:
    found = [(state, sweep.count(state)) for state in State]
    return f"{len(sweep.tasks)} measurements: " + ", ".join(f"{n} {s.value}" for s, n in found if n)


def run(sweep: Sweep, left_out: int, asked: Asked, engine: Engine) -> None:
    """Run the sweep with a line or a bar, then print the ranking and the failures."""
    sweep.store.prepare()
    # A cluster's manager ends a job with SIGTERM: stop as for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(stderr=True)
    if not asked.quiet:
        _print_plan(sweep, left_out)
    _measure(sweep, engine, console, asked.quiet)
    failures = [note for task in sweep.tasks if (note := sweep.store.failure(task)) is not None]
    if not asked.quiet:
        done = [task for task in sweep.tasks if sweep.state(task) is State.DONE]
        if done:
            print_ranking(console, concat(read(sweep.store.path(task)) for task in done), top=SHOWN)
    print_failures(console, failures)
    if not asked.quiet:
        print(f"{_counts(sweep)}; results in {sweep.store.folder}", file=sys.stderr)
    if sweep.count(State.FAILED):
        raise typer.Exit(SOME_FAILED)


def choose_engine(name: str, device: str, options: dict[str, Any]) -> Engine:
    """The engine of that name; :class:`UsageError` for options that it cannot keep."""
    jobs, timeout = options["jobs"], options["timeout"]
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    if name != "ray" and (options["address"] is not None or options["cpus"] != 1):
        raise UsageError("--address and --cpus are for the engine ray", "Add --engine ray.")
    if name == "ray":
        return Ray(options["address"], jobs, device, options["cpus"], timeout=timeout)
    if name == "processes":
        return Processes(jobs, device, timeout)
    if jobs not in (None, 1) or timeout is not None:
        raise UsageError("the engine serial knows no --jobs and no --timeout", "Use --engine processes.")
    pick_device(device)
    keep_freed_memory()
    return Serial()


def _measure(sweep: Sweep, engine: Engine, console: Console, quiet: bool) -> None:
    """A bar on a terminal, a line for each model elsewhere."""
    left = len(sweep.to_do)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    with bar:
        everything = bar.add_task("measurements", total=left)

        def report(task: Task, done: int, total: int) -> None:
            bar.update(everything, description=f"{task.job.label} {done}/{total}")

        for number, outcome in enumerate(sweep.run(engine, report), start=1):
            bar.update(everything, completed=number)
            if not quiet:
                line = f"{number}/{left} {_line(outcome)}"
                bar.console.print(line, highlight=False, soft_wrap=True, markup=False)


def _line(outcome: Outcome) -> str:
    if outcome.results is None:
        return f"{outcome.job.label}: failed: {outcome.error}"
    return f"{outcome.job.label}: {len(outcome.results):,} rows, {outcome.seconds:.1f} s"
