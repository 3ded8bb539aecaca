"""What each command does once its options are parsed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import timm
import typer
from rich.console import Console
from rich.table import Table

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.display import (
    print_failures,
    print_ranking,
    print_skipped,
    print_summary,
    progress_bar,
    wide_console,
)
from psychophys.cli.found import print_findings
from psychophys.cli.options import Asked
from psychophys.learning.training import read_learned, trainings_in
from psychophys.measurement.plan import plan
from psychophys.observers.imports import import_modules
from psychophys.observers.layers import default_modules, list_layers
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL, is_embedded, make_jobs
from psychophys.observers.observer import pick_device
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.summary import rank
from psychophys.results.tables import FORMATS, check_output
from psychophys.results.thresholds import Results, concat, read
from psychophys.stimuli import STIMULI, get_stimulus
from psychophys.stimuli.sheet import contact_sheet
from psychophys.sweeps.store import read_failures
from psychophys.sweeps.tasks import Task, measure_each


@dataclass(frozen=True)
class Sink:
    """Where results go."""

    output: str
    file_format: str | None
    append: bool

    def prepare(self) -> list[Results]:
        """Refuse what cannot be written before anything is measured; return what is kept."""
        if self.file_format is not None and self.file_format not in FORMATS:
            raise unknown("format", self.file_format, FORMATS)
        if self.output == "-":
            if self.append:
                raise UsageError("--append cannot add to standard output", "Name a file with -o.")
            return []
        chosen = check_output(Path(self.output), self.file_format)
        if not self.append:
            return []
        if chosen != "parquet":
            raise UsageError(f"--append cannot add to {chosen}", "Use a .parquet file.")
        return [read(self.output)] if Path(self.output).exists() else []

    def write(self, results: Results) -> None:
        """Write all results so far."""
        if self.output != "-":
            results.write(self.output, self.file_format)


def measure(names: list[str], checkpoint: str | None, asked: Asked, sink: Sink) -> None:
    """Measure, write after each model, then print the summary."""
    kept = sink.prepare()
    pick_device(asked.device)
    tasks = make_tasks(names or [DEFAULT_MODEL], asked, checkpoint)
    keep_freed_memory()
    console = Console(stderr=True)
    new: list[Results] = []
    failed = 0
    with progress_bar(console, asked.quiet) as progress:
        for outcome in measure_each(tasks, progress):
            if outcome.results is None:
                assert outcome.error is not None
                if len(tasks) == 1:
                    raise outcome.error
                failed += 1
                print(f"error: {outcome.job.label}: {outcome.error}", file=sys.stderr)
                continue
            new.append(outcome.results)
            sink.write(concat([*kept, *new]))
    if new:
        _report(console, concat(new), sink, asked.quiet)
    if failed:
        raise typer.Exit(1)


def make_tasks(names: list[str], asked: Asked, checkpoint: str | None = None) -> list[Task]:
    """What a command line asks for, checked before anything is measured."""
    import_modules(asked.imports)
    measurement = plan(**asked.measurement)
    if asked.batch_size is not None and asked.batch_size < 1:
        raise UsageError(f"batch size {asked.batch_size}", "Give one or more.")
    jobs = make_jobs(names, asked.weights, seed=asked.seed, checkpoint=checkpoint, dtype=asked.dtype)
    device = asked.device
    return [Task(measurement, job, device, asked.batch_size, asked.imports) for job in jobs]


def _report(console: Console, results: Results, sink: Sink, quiet: bool) -> None:
    if sink.output == "-":
        results.dump(sys.stdout.buffer, sink.file_format or "csv")
        sys.stdout.buffer.flush()
    if quiet:
        return
    print_summary(console, results)
    print_skipped(console, results)
    if sink.output != "-":
        console.print(f"{len(results):,} rows in {sink.output}", highlight=False, soft_wrap=True)


def layers(model: str, weights: str, checkpoint: Path | None, imports: tuple[str, ...]) -> None:
    """Print every layer."""
    import_modules(imports)
    if checkpoint is not None:
        weights = "pretrained"
    observer = load_observer(model, weights=weights, checkpoint=checkpoint)
    defaults = set(default_modules(observer.model))
    selection = list_layers(observer)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, side in (
        ("", "left"),
        ("layer", "left"),
        ("type", "left"),
        ("output", "left"),
        ("units", "right"),
    ):
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for layer in selection.layers:
        shape = " x ".join(str(size) for size in layer.shape)
        mark = "*" if layer.name.partition("@")[0] in defaults else ""
        table.add_row(mark, layer.name, layer.kind, shape, f"{layer.n_features:,}")
    wide_console().print(table)
    for name, why in selection.skipped.items():
        print(f"not a layer: {name} {why}", file=sys.stderr)


def models(pattern: str, pretrained: bool, exclude: list[str]) -> None:
    """Print names, one a line."""
    names = timm.list_models(pattern, pretrained=pretrained, exclude_filters=exclude)
    if not names:
        near = timm.list_models()
        raise unknown("model", pattern, near, "A filter may hold * and ?, as in 'resnet*'.")
    for name in names:
        print(f"{name}  (embedded)" if is_embedded(name) else name)


def stimuli(name: str | None, save: Path | None) -> None:
    """Print the table of stimuli, or one stimulus's parameters."""
    if name is None:
        if save is not None:
            raise UsageError(
                "--save needs one stimulus", "Write `psychophys stimuli gabor --save sheet.png`."
            )
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("stimulus", "dimensions", "what it is"):
            table.add_column(heading, no_wrap=heading == "stimulus", overflow="fold")
        for stimulus in STIMULI.values():
            dimensions = ", ".join(p.name for p in stimulus.parameters if p.measurable)
            table.add_row(stimulus.name, dimensions, stimulus.summary)
        wide_console().print(table)
        return
    stimulus = get_stimulus(name)
    print(f"{stimulus.name}: {stimulus.summary}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("parameter", "unit", "default", "possible", "measured", "period", "meaning"):
        table.add_column(heading, no_wrap=heading != "meaning")
    for p in stimulus.parameters:
        count = stimulus.nuisance.get(p.name)
        default = f"{p.default:.4g}" if count is None else f"{count} values"
        swept = f"{p.sweep[0]:g} to {p.sweep[1]:g}" if p.measurable else "-"
        period = "-" if p.period is None else f"{p.period:g}"
        table.add_row(p.name, p.unit, default, f"{p.low:g} to {p.high:g}", swept, period, p.meaning)
    wide_console().print(table)
    if save is not None:
        _save_sheet(name, save)


def _save_sheet(name: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"output directory {str(path.parent)!r} does not exist", "Create it first.")
    try:
        contact_sheet(get_stimulus(name)).save(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"cannot write image {str(path)!r}: {error}", "End it in .png or .jpg.") from error
    print(f"contact sheet in {path}", file=sys.stderr)


def read_rows(path: Path) -> Results:
    """Results with at least one row."""
    results = read(path)
    if not len(results):
        raise UsageError(f"{str(path)!r} holds no rows", "Give one written by `psychophys measure`.")
    return results


def show(path: Path, sort: str | None, top: int | None, file_format: str) -> None:
    """Print summary and provenance of a file, or a ranking of its runs."""
    if file_format not in ("table", "csv"):
        raise unknown("format", file_format, ("table", "csv"))
    console = wide_console()
    failures = read_failures(path) if path.is_dir() else []
    if failures and not list(path.glob("*.parquet")):
        print_failures(console, failures)
        return
    results = read_rows(path)
    if file_format == "csv":
        rank(results, sort, top).to_csv(sys.stdout, index=False)
        return
    if path.is_dir() or sort is not None or top is not None:
        print_ranking(console, results, sort, top)
        print_failures(console, failures)
        return
    if trainings_in(results):
        print_findings(console, read_learned(path))
        return
    print_summary(console, results)
    print_skipped(console, results)
    for identifier, record in results.runs.items():
        console.print(f"\nrun {identifier}", highlight=False, soft_wrap=True)
        for key, value in record.items():
            text = value if isinstance(value, str) else json.dumps(value)
            console.print(f"  {key}: {text}", highlight=False, soft_wrap=True, markup=False)
