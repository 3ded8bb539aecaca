"""The command `statistics`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psychophys.cli.options import Device, FileFormat, Force, Output, Quiet


def statistics(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Folders, zip and tar archives, files.")
    ],
    output: Output = "prior.parquet",
    file_format: FileFormat = None,
    force: Force = False,
    rotate: Annotated[
        float, typer.Option(help="Turn every image first, by degrees counter-clockwise: a control.")
    ] = 0.0,
    title: Annotated[str, typer.Option(help="What the images are; kept with the numbers.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Count what is common in photographs: a prior over orientation, hue, frequency, luminance, contrast.

    Begun again after an interruption, it goes on where it was.

    \b
    Examples:
      psychophys statistics photographs/ -o prior.parquet
      psychophys statistics imagenet.tar more/ --rotate 45 -o turned.parquet
    """
    from rich.console import Console

    from psychophys.cli.display import progress_bar
    from psychophys.cli.outputs import Sink
    from psychophys.cli.tables.priors import print_prior
    from psychophys.comparison.priors import Prior
    from psychophys.comparison.priors.counting import counted_again, image_statistics
    from psychophys.observers.devices import pick_device
    from psychophys.observers.memory import keep_freed_memory
    from psychophys.results.tables import check_output

    sink = Sink(output, file_format, force=force)
    sink.check()
    sink.check_replacing(Prior, lambda held: counted_again(held, images, rotate, seed))
    partial = None if sink.file is None else Path(f"{sink.file}.partial")
    if partial is not None:
        check_output(partial, "parquet")
    chosen = pick_device(device)
    keep_freed_memory()
    console = Console(stderr=True)
    with progress_bar(console, quiet) as update:
        prior = image_statistics(
            images,
            rotate_deg=rotate,
            seed=seed,
            title=title,
            device=chosen,
            resume=partial,
            progress=lambda done, total: update("statistics", done, total),
        )
    sink.write(prior)
    sink.dump(prior)
    if partial is not None:
        partial.unlink(missing_ok=True)
    if not quiet:
        print_prior(console, prior, sink.file)
