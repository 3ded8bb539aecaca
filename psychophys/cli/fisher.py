"""What the command around Fisher matrices does once its options are parsed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.cli.commands import Sink
from psychophys.cli.display import number, print_skipped, progress_bar
from psychophys.cli.options import Asked
from psychophys.measurement.joint import DEFAULT_DIMENSIONS, Joint, plan_fisher, run_fisher
from psychophys.observers.imports import import_modules
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL, Job, make_jobs
from psychophys.observers.observer import pick_device
from psychophys.plots.ellipses import check_ellipses, plot_ellipses
from psychophys.plots.style import check_figure, save_figure
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.matrices import FisherResults, Stack, cautions, conclusions, stacks
from psychophys.results.summary import run_name

Update = Callable[[str, int, int], None]


def fisher(
    names: list[str],
    checkpoint: str | None,
    asked: Asked,
    dimensions: str | None,
    sink: Sink,
    figure: Path | None,
) -> None:
    """Measure, write after each model, then print thresholds alone and joint."""
    sink.prepare()
    if figure is not None:
        check_figure(figure)
    pick_device(asked.device)
    joint = _plan(asked, dimensions)
    import_modules(asked.imports)
    jobs = make_jobs(
        names or [DEFAULT_MODEL], asked.weights, seed=asked.seed, checkpoint=checkpoint, dtype=asked.dtype
    )
    if figure is not None:
        check_ellipses(len(joint.dimensions), len(jobs))
    keep_freed_memory()
    console = Console(stderr=True)
    results = FisherResults.join([])
    failed = 0
    with progress_bar(console, asked.quiet) as progress:
        for job in jobs:
            try:
                results = FisherResults.join([results, _measure(joint, job, asked, progress)])
            except PsychophysError as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                print(f"error: {job.label}: {error}", file=sys.stderr)
                continue
            if sink.output != "-":
                results.write(sink.output, sink.file_format)
    if len(results):
        _finish(console, results, sink, figure, asked.quiet)
    if failed:
        raise typer.Exit(1)


def _plan(asked: Asked, dimensions: str | None) -> Joint:
    settings = dict(asked.measurement)
    if settings.pop("dimension") is not None:
        raise UsageError("--dimension is of one dimension", "Use --dimensions, as in --dimensions x,y.")
    if settings.pop("precision") is not None or settings.pop("confidence") != 0.95:
        raise UsageError(
            "fisher gives no intervals", "Leave out --confidence and --until-precision, or use `measure`."
        )
    if asked.batch_size is not None and asked.batch_size < 1:
        raise UsageError(f"batch size {asked.batch_size}", "Give one or more.")
    named = DEFAULT_DIMENSIONS if dimensions is None else [part.strip() for part in dimensions.split(",")]
    return plan_fisher(named, **settings)


def _measure(joint: Joint, job: Job, asked: Asked, progress: Update) -> FisherResults:
    observer = load_observer(**asdict(job), device=asked.device)

    def update(done: int, total: int) -> None:
        progress(job.label, done, total)

    return run_fisher(joint, observer, batch_size=asked.batch_size, progress=update)


def _finish(console: Console, results: FisherResults, sink: Sink, figure: Path | None, quiet: bool) -> None:
    if sink.output == "-":
        results.dump(sys.stdout.buffer, sink.file_format or "csv")
        sys.stdout.buffer.flush()
    if figure is not None:
        save_figure(plot_ellipses(results), figure)
    if quiet:
        return
    runs: dict[str, list[Stack]] = {}
    for stack in stacks(results):
        runs.setdefault(str(stack.first["run_id"]), []).append(stack)
    for layers in runs.values():
        console.print(_table(layers))
    console.print(
        "Thresholds alone/joint: with the other dimensions known/unknown. Hardest to see: of all changes at "
        "criterion the one of most thresholds alone (times), at the point where these are most.",
        highlight=False,
    )
    for sentence in (*conclusions(results), *cautions(results)):
        console.print(sentence, highlight=False, soft_wrap=True)
    print_skipped(console, results)
    if sink.output != "-":
        console.print(f"{len(results):,} rows in {sink.output}", highlight=False, soft_wrap=True)
    if figure is not None:
        console.print(f"figure in {figure}", highlight=False, soft_wrap=True, markup=False)


def _table(layers: list[Stack]) -> Table:
    first, stack = layers[0].first, layers[0]
    named = " and ".join(f"{name} ({unit})" for name, unit in zip(stack.dimensions, stack.units, strict=True))
    title = f"{run_name(first)}: thresholds of {named}, {_mean(len(stack.points))}"
    title += f"{first['noise']} noise {first['noise_level']:g}, {first['estimator']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    for heading in (*stack.dimensions, "correlation"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("hardest to see", justify="right")
    table.add_column("times", justify="right", no_wrap=True)
    apart = "/" if len(stack.dimensions) == 2 else "\n"
    for stack in layers:
        means = zip(stack.alone.mean(axis=0), stack.joint.mean(axis=0), strict=True)
        cells = [apart.join(number(float(mean)) for mean in both) for both in means]
        table.add_row(str(stack.first["layer"]), *cells, *_shape(stack))
    return table


def _mean(n_points: int) -> str:
    return f"mean of {n_points} points, " if n_points > 1 else ""


def _shape(stack: Stack) -> tuple[str, str, str]:
    """Range of the correlations, the change that is hardest to see at the worst point, and its length."""
    change, least = stack.hardest
    if not np.isfinite(least).any():
        return "-", "-", "-"
    k = int(np.nanargmin(least))
    known = stack.correlations[np.isfinite(stack.correlations)]
    parts = " ".join(f"{part:+.2g}" for part in change[k])
    length = "inf" if least[k] == 0 else f"{1 / np.sqrt(least[k]):.2f}"
    ends = dict.fromkeys((f"{known.min():.2f}", f"{known.max():.2f}"))
    return "..".join(ends), parts, length
