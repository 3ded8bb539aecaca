"""Priors: what was counted, and what comes along."""

from __future__ import annotations

from rich.console import Console

from psychophys.cli.screen import plain_table, print_table, say
from psychophys.comparison.priors import Prior
from psychophys.results.words import number
from psychophys.stimuli.photographs import Unusable


def print_prior(console: Console, prior: Prior, file: str | None) -> None:
    """What is common and what is rare, and what was counted."""
    frame = prior.to_pandas()
    table = plain_table()
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
    print_table(console, table)
    about = prior.meta
    if about.get("amplitude_exponent"):
        exponent = about["amplitude_exponent"]
        line = f"amplitude falls as 1/f^{exponent['alpha']:.2f}"
        if "low" in exponent:  # Of one image there is none.
            line += f" (95 % interval {exponent['low']:.2f} to {exponent['high']:.2f})"
        say(console, line)
    if about.get("n_unreadable"):
        say(console, Unusable(about["unreadable"], about["n_unreadable"]).words(about["n_found"]))
    counted = about.get("n_found", 0) - about.get("n_unreadable", 0)
    where = "" if file is None else f"; densities in {file}"
    # A formula of the literature counts none.
    say(console, f"{counted:,} images counted{where}" if counted else f"{about['summary']}{where}")
