"""A sweep in the terminal: what is planned, how it goes, where everything stands."""

from __future__ import annotations

import math
import signal
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from psychophys.cli.screen import say
from psychophys.sweeps.engines import Engine
from psychophys.sweeps.forecast import estimate
from psychophys.sweeps.sweep import State, Sweep
from psychophys.sweeps.tasks import Outcome, Task


def print_tasks(sweep: Sweep) -> None:
    """Every measurement and where it stands, on standard output."""
    for task in sweep.tasks:
        print(f"{sweep.state(task).value}  {task.job.label}")


def print_plan(sweep: Sweep, left_out: int) -> None:
    """How many measurements stand where, and how many are none of the sweep."""
    if left_out:
        why = "without pretrained weights (--weights random takes them)"
        print(f"left out: {left_out} {why}", file=sys.stderr)
    print(counts(sweep), file=sys.stderr)


def counts(sweep: Sweep) -> str:
    """How many measurements stand where, in words."""
    found = [(state, sweep.count(state)) for state in State]
    return f"{len(sweep.tasks)} measurements: " + ", ".join(f"{n} {s.value}" for s, n in found if n)


def print_forecast(sweep: Sweep, device: str) -> None:
    """What is left will cost so much, and what that rests on."""
    guess = estimate(sweep.to_do, device, sweep.store.folder)
    if math.isnan(guess.seconds):
        print("no telling how long it will take: these models cannot be looked into", file=sys.stderr)
        return
    time = f"about {_duration(guess.seconds)}"
    if not math.isnan(guess.low):
        time += f" ({_duration(guess.low)} to {_duration(guess.high)})"
    basis = [f"{guess.measured} measured here"] if guess.measured else []
    basis += ["one network timed here"] if guess.timed else []
    line = f"{time}, one at a time, from {' and '.join(basis)}"
    line += f"; {_size(guess.download_bytes)} to download"
    if guess.sampled < guess.models:
        line += f" ({guess.sampled} of {guess.models} models looked into)"
    print(line, file=sys.stderr)
    if guess.larger:
        print(
            "most of it is for larger networks than any that was measured: it may be further off",
            file=sys.stderr,
        )


def _size(count: float) -> str:
    return "an unknown amount" if math.isnan(count) else f"{count / 1e9:.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_visibly(sweep: Sweep, engine: Engine, console: Console, quiet: bool) -> None:
    """Run it with a bar on a terminal, and a line for each measurement."""
    # A cluster's manager ends a job with SIGTERM: stop as for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
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

        for place, outcome in enumerate(sweep.run(engine, report), start=1):
            bar.update(everything, completed=place)
            if not quiet:
                say(bar.console, f"{place}/{left} {_line(outcome)}")


def _line(outcome: Outcome) -> str:
    if outcome.results is None:
        return f"{outcome.job.label}: failed: {outcome.error}"
    return f"{outcome.job.label}: {len(outcome.results):,} rows, {outcome.seconds:.1f} s"
