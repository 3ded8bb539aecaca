"""Options that several commands share, written once."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from psychophys.base.errors import UsageError
from psychophys.cli.names import (
    DISPLAYS,
    DTYPES,
    ESTIMATORS,
    FIGURE_SIZES,
    GAMMAS,
    NOISES,
    POOLINGS,
    PRECISIONS,
    PRESETS,
    STIMULI,
    TABLE_FILE,
    WEIGHTS,
    either,
)

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help="timm names (tags allowed), hf-hub:OWNER/NAME, local-dir:PATH, or learned "
        "(a checkpoint of psychophys learn). Default: tf_efficientnet_lite0, whose weights come along.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="Weights to load in place of the pretrained ones: a file, or a quoted pattern."),
]
Output = Annotated[str, typer.Option("--output", "-o", help=f"{TABLE_FILE}; - is standard output.")]
FileFormat = Annotated[
    str | None,
    typer.Option("--format", help="parquet, csv or jsonl, whatever the name says."),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace what is in the output, though it is something else.")
]
FigureSize = Annotated[
    str | None,
    typer.Option("--size", help=f"Of the figure: {either(FIGURE_SIZES)}.", show_default="page"),
]
Device = Annotated[str, typer.Option(envvar="PSYCHOPHYS_DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", envvar="PSYCHOPHYS_QUIET", help="No progress and no summary.")
]
Imports = Annotated[
    list[Path] | None,
    typer.Option("--import", help="Python file or module that registers models of your own with timm."),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Make the runs of a results file again, or of what `psychophys spec` printed; what else is said "
        "takes the place of what it says.",
    ),
]
Exclude = Annotated[list[str] | None, typer.Option(help="Filter of names to leave out; may be repeated.")]
ResultsPath = Annotated[Path, typer.Argument(help="A file written by `measure`, or a directory of a sweep.")]
ViewedAt = Annotated[
    float | None,
    typer.Option(
        "--pixels-per-degree",
        help="With --human: of visual angle, to turn cycles/image to cycles/deg. Default: the display's that "
        "was measured with, or 100.",
    ),
]
DisplayName = Annotated[
    str | None,
    typer.Option(
        "--display",
        help=f"Show stimuli on a screen, in deg, cycles/deg and cd/m2: {either(DISPLAYS)}; the three options "
        "that follow take the place of what it says.",
    ),
]
PixelsPerDegree = Annotated[
    float | None, typer.Option(help="Of the display: lengths are then in deg, frequencies in cycles/deg.")
]
Luminance = Annotated[
    float | None,
    typer.Option("--luminance-cd-m2", help="Of the display's white: luminance is then in cd/m2."),
]
GammaName = Annotated[
    str | None,
    typer.Option(
        "--gamma",
        help=f"Of the display: {either(GAMMAS)}. With srgb, contrast is that of light.",
        show_default="linear",
    ),
]


def display_said(
    display: str | None, pixels_per_degree: float | None, luminance: float | None, gamma: str | None
) -> dict[str, Any] | None:
    """What is said of a display, as :func:`psychophys.plan` takes it; None for nothing."""
    every = {
        "preset": display,
        "pixels_per_degree": pixels_per_degree,
        "luminance_cd_m2": luminance,
        "gamma": gamma,
    }
    return {name: value for name, value in every.items() if value is not None} or None


@dataclass(frozen=True)
class Asked:
    """What a command line says of the measurement and of how it is made.

    Attributes
    ----------
    measurement
        Arguments of :func:`psychophys.plan`.
    weights
        Variants, one or more.
    said
        Names of the options that were given.
    notes
        What is to be said before anything is measured.
    """

    measurement: dict[str, Any]
    weights: list[str]
    seed: int
    seeds: int | None
    dtype: str
    arithmetic: str
    noise_seed: int | None
    device: str
    batch_size: int | None
    imports: tuple[str, ...]
    quiet: bool
    said: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list, compare=False)

    def say_notes(self) -> None:
        """Say what there is to know, once nothing is refused any more."""
        if not self.quiet:
            for note in self.notes:
                print(f"note: {note}", file=sys.stderr)

    @property
    def settings_said(self) -> dict[str, Any]:
        """Those arguments of :func:`psychophys.plan` that were said, and not left at what is usual."""
        usual = usually_asked().measurement
        given = self.measurement.items()
        return {name: value for name, value in given if name in self.said or value != usual[name]}


def _options(
    weights: Annotated[
        str, typer.Option(help=f"{', '.join(WEIGHTS)}, or several with commas.")
    ] = "pretrained",
    seed: Annotated[int, typer.Option(help="Of random and shuffled weights.")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="So many random and shuffled networks, of seeds that follow each other.",
            show_default="1",
        ),
    ] = None,
    stimulus: Annotated[
        str | None,
        typer.Option(help=f"{either(STIMULI)}: see `psychophys stimuli`. Default: gabor (patch for hue)."),
    ] = None,
    dimension: Annotated[
        str | None, typer.Option(help="Parameter to measure. Default: the stimulus's first.")
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(help="Where to measure: a count (36), a list (0,45,90) or START:STOP:COUNT."),
    ] = None,
    phases: Annotated[
        str | None, typer.Option(help="Phases to average over: a count or a list in degrees.")
    ] = None,
    frequencies: Annotated[
        str | None,
        typer.Option(help="Spatial frequencies to average over: cycles/image, on a display cycles/deg."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUES", help="Any other parameter; several are averaged over."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Photographs to show (stimulus image): folder, archive or file; may be repeated."),
    ] = None,
    display: DisplayName = None,
    pixels_per_degree: PixelsPerDegree = None,
    luminance_cd_m2: Luminance = None,
    gamma: GammaName = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Settings of a published experiment: {either(PRESETS)}.")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help=f"What J is of all samples: {either(POOLINGS)}.", show_default="mean"),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="default, all, or glob patterns; may be repeated.", show_default="default"),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(help=f"How the derivative is taken: {either(ESTIMATORS)}.", show_default="jvp"),
    ] = None,
    step: Annotated[
        float | None, typer.Option(help="Half-width of central differences, in the dimension's unit.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help=f"{either(NOISES)}: see `psychophys noises`.",
            show_default="relative",
        ),
    ] = None,
    noise_level: Annotated[
        float | None,
        typer.Option(help="In the noise model's unit.", show_default="the noise model's own"),
    ] = None,
    noise_options: Annotated[
        list[str] | None,
        typer.Option("--noise-option", metavar="NAME=VALUE", help="Of the noise model; may be repeated."),
    ] = None,
    dprime: Annotated[float, typer.Option(help="Criterion d' of the threshold.")] = 1.0,
    confidence: Annotated[
        float, typer.Option(help="Of the intervals, by bootstrap over phases or images.")
    ] = 0.95,
    until_precision: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Add phases or images until every interval's half-width is this share of the threshold "
            "(5% or 0.05).",
        ),
    ] = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help=f"{either(DTYPES)}.")] = "float32",
    arithmetic: Annotated[
        str,
        typer.Option(
            "--precision",
            help=f"Of products: {either(PRECISIONS)}. Others are faster on GPUs, and off by per cents.",
        ),
    ] = "exact",
    noise_seed: Annotated[
        int | None,
        typer.Option("--seed-noise", help="Random numbers of the network, the same for every image."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            envvar="PSYCHOPHYS_BATCH_SIZE", help="Images in a forward pass; halved where memory ends."
        ),
    ] = None,
    imports: Imports = None,
    quiet: Quiet = False,
) -> Asked:
    from psychophys.cli.values import (
        parse_list,
        parse_options,
        parse_settings,
        parse_share,
        parse_values,
        split_words,
    )

    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch size {batch_size}", "Give one or more.")
    parameters: dict[str, int | float | list[float]] = {**parse_settings(settings or [])}
    if phases is not None:
        parameters["phase"] = parse_values("phases", phases)
    if frequencies is not None:
        parameters["frequency"] = parse_list("frequencies", frequencies)
    measurement = {
        "stimulus": stimulus,
        "dimension": dimension,
        "values": None if values is None else parse_values("values", values),
        "parameters": parameters,
        "layers": split_words(layers, "default"),
        "estimator": estimator,
        "step": step,
        "noise": noise,
        "noise_level": noise_level,
        "noise_options": parse_options(noise_options or []),
        "dprime": dprime,
        "confidence": confidence,
        "precision": None if until_precision is None else parse_share(until_precision),
        "preset": preset,
        "pooling": pooling,
        "images": [str(path) for path in images or []],
        "display": display_said(display, pixels_per_degree, luminance_cd_m2, gamma),
    }
    variants = [part.strip() for part in weights.split(",")]
    modules = tuple(str(path) for path in imports or [])
    return Asked(
        measurement, variants, seed, seeds, dtype, arithmetic, noise_seed, device, batch_size, modules, quiet
    )


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def usually_asked() -> Asked:
    """What is asked for where no option is given."""
    return _options()


def measurement_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options above; it gets them as its parameter ``asked``."""
    shared = inspect.signature(_options).parameters

    @wraps(command)
    def wrapped(context: typer.Context, **given: Any) -> None:
        said = frozenset(name for name in shared if _is_said(context, name))
        asked = replace(_options(**{name: given.pop(name) for name in shared}), said=said)
        command(asked=asked, **given)

    own = inspect.signature(command)
    parameters = [p for p in own.parameters.values() if p.name != "asked"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    first = inspect.Parameter("context", keyword)
    every = [first, *(p.replace(kind=keyword) for p in (*parameters, *shared.values()))]
    hints = {
        "context": typer.Context,
        **get_type_hints(command, include_extras=True),
        **get_type_hints(_options, include_extras=True),
    }
    wrapped.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(annotation=hints[p.name]) for p in every], return_annotation=None
    )
    wrapped.__annotations__ = {p.name: hints[p.name] for p in every}
    del wrapped.__wrapped__
    return wrapped
