"""What the commands around natural images do once their options are parsed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from psychophys.base.errors import UsageError, unknown
from psychophys.cli.commands import read_rows
from psychophys.cli.display import number, progress_bar, wide_console
from psychophys.comparison import compare as coding
from psychophys.comparison.human import PIXELS_PER_DEGREE
from psychophys.comparison.priors import Prior, list_priors, load_prior
from psychophys.comparison.priors.counting import image_statistics
from psychophys.comparison.references import REFERENCES
from psychophys.learning.training import read_learned, trainings_in
from psychophys.observers.observer import pick_device
from psychophys.plots.learning import plot_learning
from psychophys.plots.style import check_figure, save_figure
from psychophys.plots.thresholds import plot_comparison, plot_thresholds
from psychophys.responses.memory import keep_freed_memory
from psychophys.results.tables import FORMATS, check_output, dump_table, write_table

SHOWN_UNREADABLE = 5
COMPARISON_KEY = b"psychophys_comparison"
_LEGEND = (
    "r: correlation of sensitivity with {}; slope: of log sensitivity on log {}, with 95 % interval; "
    "p: share of circular shifts that do as well; r | pixels: given the pixels' own."
)
PRIOR_LEGEND = _LEGEND.format("the prior", "prior (1: infomax)")
HUMAN_LEGEND = _LEGEND.format("human sensitivity", "human sensitivity (1: same modulation)")


@dataclass(frozen=True)
class Outputs:
    """Where a comparison goes."""

    table: str | None
    figure: Path | None
    quiet: bool

    def check(self) -> None:
        """Refuse what cannot be written before anything is computed."""
        if self.table is not None and self.table != "-":
            check_output(Path(self.table))
        if self.figure is not None:
            check_figure(self.figure)


@dataclass(frozen=True)
class Against:
    """What sensitivities are compared with."""

    prior: str | None
    scale: float | None
    human: bool
    pixels_per_degree: float | None

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.human and (self.prior is not None or self.scale is not None):
            raise UsageError(
                "--human and a prior cannot be compared with at once",
                "Leave out --human, or --prior and --scale.",
            )
        _pixels_per_degree(self.human, self.pixels_per_degree)

    @property
    def pixels(self) -> float:
        """Pixels per degree of visual angle."""
        return _pixels_per_degree(self.human, self.pixels_per_degree)


def _pixels_per_degree(human: bool, given: float | None) -> float:
    if given is not None and not human:
        raise UsageError("--pixels-per-degree is of human sensitivity", "Give --human, too, or leave it out.")
    return PIXELS_PER_DEGREE if given is None else given


def statistics(
    images: list[Path],
    output: str,
    file_format: str | None,
    rotate: float,
    title: str,
    seed: int,
    device: str,
    quiet: bool,
) -> None:
    """Count, write, and print a summary."""
    if file_format is not None and file_format not in FORMATS:
        raise unknown("format", file_format, FORMATS)
    if output != "-":
        check_output(Path(output), file_format)
        check_output(Path(f"{output}.partial"), "parquet")
    chosen = pick_device(device)
    keep_freed_memory()
    console = Console(stderr=True)
    resume = None if output == "-" else Path(f"{output}.partial")
    with progress_bar(console, quiet) as progress:
        prior = image_statistics(
            images,
            rotate_deg=rotate,
            seed=seed,
            title=title,
            device=chosen,
            resume=resume,
            progress=lambda done, total: progress("statistics", done, total),
        )
    if output == "-":
        prior.dump(sys.stdout.buffer, file_format or "csv")
        sys.stdout.buffer.flush()
    else:
        prior.write(output, file_format)
        Path(f"{output}.partial").unlink(missing_ok=True)
    if not quiet:
        _summarize_prior(console, prior, output)


def _summarize_prior(console: Console, prior: Prior, output: str) -> None:
    frame = prior.to_pandas()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("statistic", no_wrap=True)
    for heading in ("scale", "pixels", "most common", "least common", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (statistic, scale), part in frame.groupby(["statistic", "scale"], sort=False):
        known = part[part["density"].notna()]
        cells = ["-"] * 3
        if len(known):
            top, bottom = known.nlargest(1, "density").iloc[0], known.nsmallest(1, "density").iloc[0]
            ratio = top["density"] / bottom["density"] if bottom["density"] > 0 else float("inf")
            cells = [*(f"{row['value']:g} {row['unit']}" for row in (top, bottom)), number(ratio)]
        counted = f"{part['n_pixels'].iloc[0]:,}" if part["n_pixels"].iloc[0] else "-"
        table.add_row(str(statistic), f"{scale:g}" if scale else "-", counted, *cells)
    console.print(table)
    about = prior.meta
    if about["amplitude_exponent"]:
        alpha, low, high = (about["amplitude_exponent"][name] for name in ("alpha", "low", "high"))
        line = f"amplitude falls as 1/f^{alpha:.2f} (95 % interval {low:.2f} to {high:.2f})"
        console.print(line, highlight=False, soft_wrap=True)
    if about["n_unreadable"]:
        named = "; ".join(about["unreadable"][:SHOWN_UNREADABLE])
        line = f"{about['n_unreadable']:,} of {about['n_found']:,} could not be used: {named}"
        more = about["n_unreadable"] - SHOWN_UNREADABLE
        line += f" and {more:,} more" if more > 0 else ""
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    counted = about["n_found"] - about["n_unreadable"]
    where = "" if output == "-" else f"; densities in {output}"
    console.print(f"{counted:,} images counted{where}", highlight=False, soft_wrap=True, markup=False)


def priors() -> None:
    """Print the priors that come along, and the human references."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("prior", "statistics", "what it is"):
        table.add_column(heading, no_wrap=heading == "prior", overflow="fold")
    for prior in list_priors():
        table.add_row(prior.name, ", ".join(prior.statistics), prior.meta["summary"])
    console = wide_console()
    console.print(table)
    console.print()
    console.print(_references())


def _references() -> Table:
    title = "human references (compare --human)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "dimension", "unit", "valid range", "citation"):
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    for one in REFERENCES.values():
        low, high = one.valid
        valid = f"{low:g} to {high:g} {one.axis_unit}"
        unit = one.unit if one.kind == "absolute" else "shape only"
        table.add_row(one.name, one.dimension, unit, valid, f"{one.citation}, doi:{one.doi}")
    return table


def compare(path: Path, against: Against, seed: int, outputs: Outputs) -> None:
    """Compare, write, and print tables and conclusions."""
    outputs.check()
    against.check()
    results = read_rows(path)
    named = coding.DEFAULT_PRIOR if against.prior is None else against.prior
    prior = None if against.human else load_prior(named)
    keep_freed_memory()
    found = coding.compare(
        results,
        prior,
        scale=against.scale,
        seed=seed,
        human=against.human,
        pixels_per_degree=against.pixels,
    )
    if outputs.figure is not None:
        density = None if prior is None else coding.density_for(results.to_pandas(), prior, against.scale)
        figure = plot_comparison(results, found, density, pixels_per_degree=against.pixels)
        save_figure(figure, outputs.figure)
    if outputs.table is not None:
        _write_comparison(found, outputs.table)
    if outputs.quiet:
        return
    console = Console(stderr=True)
    for _, rows in found.groupby("run_id", sort=False):
        console.print(_comparison_table(rows))
    console.print(HUMAN_LEGEND if against.human else PRIOR_LEGEND, highlight=False)
    for sentence in coding.conclusions(found):
        console.print(sentence, highlight=False, soft_wrap=True)
    for name in filter(None, (outputs.table if outputs.table != "-" else None, outputs.figure)):
        console.print(f"written: {name}", highlight=False, soft_wrap=True, markup=False)


def _comparison_table(rows: pd.DataFrame) -> Table:
    first = rows.iloc[0]
    what = first["reference"] if "reference" in rows else first["prior"]
    title = f"{first['model']} ({first['weights']}): {first['dimension']} against {what}"
    if pd.notna(first.get("pixels_per_degree")):
        title += f", over frequency at {first['pixels_per_degree']:g} pixels/deg"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", no_wrap=True)
    for heading in ("r", "slope", "interval", "p", "r | pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict("records"):
        interval = f"{_two(row['slope_low'])} to {_two(row['slope_high'])}"
        numbers = (row["r"], row["slope"], interval, row["p_shift"], row["r_partial"])
        table.add_row(str(row["layer"]), *(v if isinstance(v, str) else _two(v) for v in numbers))
    return table


def _two(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2f}"


def _write_comparison(found: pd.DataFrame, output: str) -> None:
    table = pa.Table.from_pandas(found, preserve_index=False)
    if output == "-":
        dump_table(table, COMPARISON_KEY, {}, sys.stdout.buffer, "csv")
        sys.stdout.buffer.flush()
    else:
        write_table(table, COMPARISON_KEY, {}, output)


def plot(path: Path, output: Path, human: bool, pixels_per_degree: float | None) -> None:
    """Draw and say where."""
    check_figure(output)
    pixels = _pixels_per_degree(human, pixels_per_degree)
    results = read_rows(path)
    if trainings_in(results) and not path.is_dir():
        save_figure(plot_learning(read_learned(path)), output)
    else:
        save_figure(plot_thresholds(results, human=human, pixels_per_degree=pixels), output)
    print(f"figure in {output}", file=sys.stderr)
