"""The command `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from psychophys.base.errors import MeasurementError
from psychophys.cli.names import DTYPES, WEIGHTS, either
from psychophys.cli.options import Device, Imports


def check(
    model: Annotated[str, typer.Argument(help="A model as for `measure`.")],
    weights: Annotated[str, typer.Option(help=f"{either(WEIGHTS)}.")] = "pretrained",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights to load in place of the pretrained ones.")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="default, all, or glob patterns; may be repeated.", show_default="default"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random and shuffled weights.")] = 0,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help=f"{either(DTYPES)}.")] = "float32",
    imports: Imports = None,
) -> None:
    """Say whether a model's layers can be measured rightly, line by line; `measure` does the same first.

    A layer must answer each image by itself, the same whenever it is shown, and its derivative must be that
    of what it computes. The exit code is 1 where a layer does not.

    \b
    Examples:
      psychophys check resnet18 --weights random
      psychophys check mine --import mine.py --layers all
      psychophys check resnet18 --checkpoint run/last.pth
    """
    from psychophys.cli.screen import print_table, say, wide_console
    from psychophys.cli.tables.contracts import contract_table
    from psychophys.cli.values import split_words
    from psychophys.observers.devices import pick_device
    from psychophys.observers.imports import import_modules
    from psychophys.observers.load import load_observer
    from psychophys.observers.memory import keep_freed_memory

    keep_freed_memory()
    import_modules([str(path) for path in imports or []])
    observer = load_observer(
        model,
        weights=weights,
        seed=seed,
        checkpoint=checkpoint,
        device=pick_device(device, dtype),
        dtype=dtype,
    )
    words = split_words(layers, "default")
    contract = observer.check(words)
    console = wide_console()
    print_table(console, contract_table(contract))
    say(console, *contract.conclusions())
    if not contract.kept:
        raise MeasurementError(f"{model} does not keep its contract", "Leave out the layers named above.")
