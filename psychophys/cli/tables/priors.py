"""Priors: what was counted, and what comes along."""

from __future__ import annotations

from rich.console import Console

from psychophys.cli.display import number, plain_table, say
from psychophys.comparison.priors import Prior

SHOWN_UNREADABLE = 5


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
    console.print(table)
    about = prior.meta
    if about["amplitude_exponent"]:
        alpha, low, high = (about["amplitude_exponent"][name] for name in ("alpha", "low", "high"))
        line = f"amplitude falls as 1/f^{alpha:.2f} (95 % interval {low:.2f} to {high:.2f})"
        say(console, line)
    if about["n_unreadable"]:
        named = "; ".join(about["unreadable"][:SHOWN_UNREADABLE])
        line = f"{about['n_unreadable']:,} of {about['n_found']:,} could not be used: {named}"
        more = about["n_unreadable"] - SHOWN_UNREADABLE
        line += f" and {more:,} more" if more > 0 else ""
        say(console, line)
    counted = about["n_found"] - about["n_unreadable"]
    where = "" if file is None else f"; densities in {file}"
    say(console, f"{counted:,} images counted{where}")
