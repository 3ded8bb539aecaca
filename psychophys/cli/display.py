"""Tables, curves and progress for the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.results.notes import notes
from psychophys.results.ranking import RANKINGS, Ranking, rank
from psychophys.results.summary import (
    LAYER,
    cautions,
    conclusions_of,
    development,
    missed_axes,
    run_name,
    summarize,
)
from psychophys.results.tables import RunTable
from psychophys.results.thresholds import Results
from psychophys.results.words import large, number

Update = Callable[[str, int, int], None]
"""Called with what is measured, the images done and the images in all."""

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "_.,-=+*#"
CURVE_WIDTH = 18


def curve(values: list[float], blocks: str = BLOCKS) -> str:
    """A small bar chart of non-negative numbers: the height is the value over the largest."""
    numbers = np.nan_to_num(np.asarray(values, dtype=float), posinf=0)
    top = numbers.max(initial=0)
    if top <= 0:
        return ""
    parts = np.array_split(numbers, min(len(numbers), CURVE_WIDTH))
    heights = [float(part.mean()) / top for part in parts]
    return "".join(blocks[min(int(h * len(blocks)), len(blocks) - 1)] for h in heights)


MANY_RUNS = 6


def print_summary(console: Console, results: Results) -> None:
    """One table a run, then one sentence a run; of many runs, a ranking. First, how training changed them."""
    print_development(console, results)
    if len(results.runs) > MANY_RUNS:
        print_ranking(console, results)
        return
    frame = results.to_pandas()
    curves = {key: list(part["sensitivity"]) for key, part in frame.groupby(LAYER, sort=False)}
    blocks = BLOCKS if "utf" in console.encoding.lower() else PLAIN_BLOCKS
    summary = summarize(results)
    for _, rows in summary.groupby("run_id", sort=False):
        print_table(console, _summary_table(rows, curves, blocks, frame))
    say(console, *conclusions_of(summary), *cautions(results))


def _summary_table(
    rows: pd.DataFrame, curves: dict[tuple[object, ...], list[float]], blocks: str, frame: pd.DataFrame
) -> Table:
    first = rows.iloc[0]
    run = frame[frame["run_id"] == first["run_id"]]
    unit = first["unit"]
    oriented = first["dimension"] == "orientation" and rows["cardinal_oblique_ratio"].notna().any()
    ends = f"{run['value'].min():g}-{run['value'].max():g}"
    title = f"{run_name(first)}: {first['dimension']} thresholds in {unit}, "
    title += f"{run['noise'].iloc[0]} noise {run['noise_level'].iloc[0]:g}, {first['estimator']}"
    table = plain_table(title)
    table.add_column("layer", no_wrap=True)
    table.add_column("units", justify="right")
    for heading in ("mean", *(("cardinal", "oblique") if oriented else ("best at", "worst at")), "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    kept = rows["retained_information"].notna().any()
    if kept:
        table.add_column("kept", justify="right", no_wrap=True)
    # The curve may be left out on a narrow terminal, why there is none may not.
    curves_alone = bool((rows["status"] == "ok").all())
    table.add_column(f"sensitivity at {ends}", no_wrap=True, overflow="crop" if curves_alone else "ellipsis")
    names = ("cardinal_threshold", "oblique_threshold", "cardinal_oblique_ratio")
    other = ("best_value", "worst_value", "best_worst_ratio")
    for row in rows.to_dict("records"):
        cells = [number(row["mean_threshold"]), *(number(row[n]) for n in (names if oriented else other)[:2])]
        ratio = row[(names if oriented else other)[2]]
        cells.append(f"{ratio:.2f}" if np.isfinite(ratio) else "-")
        if kept:
            cells.append(f"{row['retained_information']:.2g}")
        drawn = curve(curves[tuple(row[name] for name in LAYER)], blocks)
        note = drawn if row["status"] == "ok" else row["status"]
        table.add_row(str(row["layer"]), f"{row['n_features']:,}", *cells, note)
    return table


def print_ranking(
    console: Console, results: Results, sort: str | None = None, top: int | None = None
) -> None:
    """One line a run, best first."""
    ranked = rank(results, sort, top)
    oriented = ranked["ratio"].notna().any()
    usual = ["ratio", "ratio_last", "threshold_last"] if oriented else ["threshold_last", "anisotropy"]
    usual += ["parameters"] if ranked["parameters"].notna().any() else []
    indices = [ranking for ranking in RANKINGS if ranking.name in (*usual, sort)]
    telling = ("seed", "checkpoint", "stimulus", "dimension")
    several = [name for name in telling if len(ranked[name].unique()) > 1]
    table = plain_table()
    table.add_column("", justify="right")
    for name in ("model", "weights", *several):
        table.add_column(name, overflow="fold", min_width=10)
    for name in ("layers", *(index.name for index in indices)):
        table.add_column(name, justify="right", no_wrap=True)
    for place, row in enumerate(ranked.to_dict("records"), start=1):
        words = [str(row[name]) for name in ("model", "weights", *several, "layers")]
        table.add_row(str(place), *words, *(_cell(index, row[index.name]) for index in indices))
    print_table(console, table)
    say(console, *(f"{index.name}: {index.meaning}" for index in indices))
    runs = results.to_pandas().groupby("run_id", sort=False)
    say(console, *filter(None, dict.fromkeys(missed_axes(run) for _, run in runs)))


def _cell(index: Ranking, value: float) -> str:
    return large(value) if index.is_count else number(value)


def print_development(console: Console, results: Results) -> None:
    """Mean thresholds by layer and training step, where there are several."""
    for title, part in development(results):
        table = plain_table(title)
        table.add_column("layer", no_wrap=True)
        for step in part.columns:
            table.add_column(f"{step:g}", justify="right", no_wrap=True)
        for layer, row in zip(part.index, part.to_numpy(), strict=True):
            table.add_row(str(layer), *(number(value) for value in row))
        print_table(console, table)


def print_failures(console: Console, failures: list[dict[str, Any]]) -> None:
    """What failed and why, a line each."""
    for note in failures:
        line = f"failed: {note['model']} {note['weights']}: {note['error']}"
        say(console, line)


def print_skipped(console: Console, results: RunTable) -> None:
    """Say what was adapted to checkpoints, which modules asked for could not be measured, and why."""
    say(console, *notes(results.runs))


EVERY_S = 30.0
"""Between two lines of progress where there is no terminal."""


@contextmanager
def progress_bar(console: Console, quiet: bool, unit: str = "images") -> Iterator[Update]:
    """A bar with the time that remains; a line every 30 s where there is no terminal."""
    if not quiet and not console.is_terminal:
        yield progress_lines(console, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        tasks: dict[str, int] = {}

        def update(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = int(bar.add_task(label, total=total))
            bar.update(tasks[label], completed=done)  # type: ignore[arg-type]

        yield update


def progress_lines(
    console: Console, unit: str, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
) -> Update:
    """What prints how far it is, at most every so many seconds; what is done sooner prints nothing."""
    began: dict[str, tuple[float, int]] = {}
    last = clock()

    def update(label: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        start, before = began.setdefault(label, (now, done))
        if now - last < every_s:
            return
        last = now
        left = ""
        if done > before:
            left = f", about {(now - start) / (done - before) * (total - done):.0f} s left"
        say(console, f"{label}: {done:,} of {total:,} {unit}{left}")

    return update
