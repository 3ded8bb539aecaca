"""Units as physiologists measure them, as a table: one row a unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from psychophys.results.kinds import KINDS
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable

COLUMNS = (
    Column("run_id", TEXT, "", "names the measurement; provenance is kept under it"),
    Column("model", TEXT, "", "as it was asked for"),
    Column("weights", TEXT, "", "pretrained, random, shuffled, checkpoint or given"),
    Column("layer", TEXT, "", "module name; @2 for a module's second call"),
    Column("layer_index", COUNT, "", "order in the forward pass"),
    Column("unit", COUNT, "", "flat index in the layer's output; empty where rows are means of channels"),
    Column("channel", COUNT, "", "index of the channel"),
    Column("y", COUNT, "", "row of the unit, from above; empty where there is none"),
    Column("x", COUNT, "", "column of the unit, or the token's index; empty where there is none"),
    Column("baseline", NUMBER, "activation", "for the blank grey that gratings are shown on"),
    Column("response", NUMBER, "activation", "the highest to any grating, over the baseline"),
    Column("component", TEXT, "", "F1 or F0, the larger at its best: what all curves are of"),
    Column("preferred_orientation", NUMBER, "deg", "of the bars: the peak of a periodic cubic spline"),
    Column("orientation_bandwidth", NUMBER, "deg", "half width at half height"),
    Column("circular_variance", NUMBER, "", "1 - |sum r exp(2i theta)| / sum r: 0 for one orientation alone"),
    Column(
        "orientation_reason",
        TEXT,
        "",
        "why one of these is empty: silent; flat; broad, no half height; negative; not finite",
    ),
    Column("preferred_frequency", NUMBER, "cycles/image", "the peak of a cubic spline over octaves"),
    Column("frequency_bandwidth", NUMBER, "octaves", "full width at half height"),
    Column(
        "frequency_selectivity",
        NUMBER,
        "%",
        "low over high frequency at 1/sqrt(2) of the peak: 100 is narrowest",
    ),
    Column(
        "frequency_reason",
        TEXT,
        "",
        "the same: silent; flat; broad; low-pass or high-pass, half height on one side; not finite",
    ),
    Column("modulation_ratio", NUMBER, "", "F1 / F0 at the best grating; over 1: simple, under 1: complex"),
    Column("preferred_phase", NUMBER, "deg", "of the fundamental, at the best grating"),
    Column("phase_reason", TEXT, "", "the same: silent; phases, fewer than three; negative; not finite"),
    Column("share_at_place", NUMBER, "", "response where size and contrast were varied, over the highest"),
    Column("suppression_index", NUMBER, "", "1 - response at the largest diameter / highest response"),
    Column("preferred_diameter", NUMBER, "image", "with the highest response; of what is suppressed"),
    Column("summation_diameter", NUMBER, "image", "the smallest with 95% of the highest response"),
    Column(
        "size_reason",
        TEXT,
        "",
        "the same: silent; far, too little there; negative; unsuppressed, by less than a tenth; not finite",
    ),
    Column("rmax", NUMBER, "activation", "Naka-Rushton: rmax c^n / (c^n + c50^n), over the baseline"),
    Column("c50", NUMBER, "Michelson", "Naka-Rushton: contrast of half rmax"),
    Column("exponent", NUMBER, "", "Naka-Rushton: n"),
    Column("contrast_residual", NUMBER, "", "r.m.s. difference from the fit, over the highest response"),
    Column(
        "contrast_reason",
        TEXT,
        "",
        "the same: silent; far; negative; unsaturated or saturated, c50 beyond the contrasts; not finite",
    ),
)


class UnitTuning(RunTable):
    """A table of units with the provenance of every run in it.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``, units of a layer together, layers in the order of the forward pass.
    runs
        Provenance by run id; ``tune`` says what was shown, ``population`` has J by preferred orientation.
    """

    columns = COLUMNS
    kind = KINDS["units"]
    version = 1
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {}
