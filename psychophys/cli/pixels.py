"""`fisher --dimensions pixels`: the spectrum of a photograph's pixels, by layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psychophys.base.errors import UsageError
from psychophys.cli.options import Asked, usually_asked

if TYPE_CHECKING:
    from psychophys.base.types import Progress
    from psychophys.cli.outputs import Sink
    from psychophys.measurement.pixels.plan import Pixels
    from psychophys.observers.names import Job
    from psychophys.results.distortions import Distortions

PIXELS = "pixels"
LEADING = 8
"""Eigenvalues that are found in each layer."""
TAKES = ("images", "layers", "noise", "noise_level", "dprime")


def fisher_of_pixels(
    models: list[str] | None, asked: Asked, checkpoint: str | None, source: Path | None, sink: Sink
) -> None:
    """Trace, leading eigenvalues and effective dimension of every chosen layer, for one photograph."""
    from functools import partial

    from psychophys.cli.each import plan_jobs, run_each
    from psychophys.cli.tables.distortions import print_distortions
    from psychophys.comparison.distort import Beside, identify_distort, run_distort
    from psychophys.measurement.again import made_again
    from psychophys.observers.load import load
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.observers.names import DEFAULT_MODEL
    from psychophys.results.distortions import Distortions

    pixels = _plan(asked, source, sink)
    jobs = plan_jobs(models or [DEFAULT_MODEL], asked, checkpoint)
    keep_freed_memory()
    asked_for = [(job, partial(identify_distort, pixels, Beside())) for job in jobs]
    sink.check_replacing(Distortions, lambda held: made_again(held, asked_for))

    def run_one(job: Job, advance: Progress) -> Distortions:
        return run_distort(pixels, load(job, asked.device), Beside(), advance)

    run_each(
        jobs,
        run_one,
        label=lambda job: job.label,
        join=Distortions.join,
        sink=sink,
        show=print_distortions,
        quiet=asked.quiet,
    )


def _plan(asked: Asked, source: Path | None, sink: Sink) -> Pixels:
    """What is measured; options that say nothing of pixels are refused."""
    from psychophys.measurement.pixels.plan import plan_pixels

    settings, usual = asked.measurement, usually_asked().measurement
    others = [name for name, value in settings.items() if name not in TAKES and value != usual[name]]
    if others or source is not None:
        raise UsageError(
            "--dimensions pixels is of one photograph: it takes no stimulus, values or --from",
            "Give --images, --layers, --noise, --noise-level and --dprime alone.",
        )
    if sink.figure is not None:
        raise UsageError("--figure of pixels", "Use `psychophys distort IMAGE --figure FILE`.")
    if len(settings["images"]) != 1:
        raise UsageError(
            f"{len(settings['images'])} photographs for --dimensions pixels",
            "Give one with --images: a file, or the name of one that comes along, as astronaut.",
        )
    given = {name: value for name, value in settings.items() if name in TAKES and name != "images"}
    return plan_pixels(settings["images"][0], count=LEADING, least=False, **given)
