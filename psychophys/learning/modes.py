"""The table of modes: when each is learned, and when the closed form says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from psychophys.results.kinds import KINDS
from psychophys.results.tables import COUNT, NUMBER, TEXT, Column, RunTable

COLUMNS = (
    Column("training_id", TEXT, "", "names the training; its settings are kept under it"),
    Column("model", TEXT, "", "linear-depth1, -depth2, -depth3 or linear-tied"),
    Column("init", TEXT, "", "balanced or uniform"),
    Column("seed", COUNT, "", "of patches and initial weights"),
    Column("mode", COUNT, "", "1 has the largest eigenvalue"),
    Column("eigenvalue", NUMBER, "pixel^2", "of the patches' covariance"),
    Column("learning_rate", NUMBER, "1/pixel^2", "of a step"),
    Column("initial_strength", NUMBER, "", "that the closed form begins with"),
    Column("half_time", NUMBER, "steps", "until strength 1/2, interpolated; empty if not reached"),
    Column("predicted_half_time", NUMBER, "steps", "by the closed form; empty where there is none"),
    Column("relative_error", NUMBER, "", "half_time over predicted_half_time, less 1"),
    Column("curve", TEXT, "", "step, strength, and that of the closed form, as JSON"),
    Column(
        "sensitivity_curve",
        TEXT,
        "",
        "|Wv| at the steps of the curve, as JSON: sqrt(J), with noise of s.d. 1",
    ),
)


class Modes(RunTable):
    """Half-times of modes, simulated and predicted, with the settings of every training, its run.

    Parameters
    ----------
    table
        With the columns of ``COLUMNS``.
    runs
        Settings by training id.
    """

    columns = COLUMNS
    kind = KINDS["modes"]
    version = 2
    older: ClassVar[Mapping[int, tuple[str, ...]]] = {1: ("sensitivity_curve",)}
    kept = "trainings"
    identifier = "training_id"


def read_modes(path: str | Path) -> Modes:
    """Read a Parquet file of modes; :class:`UsageError` if it is not there, or not one of ours."""
    return Modes.read(path)
