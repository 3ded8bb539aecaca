"""The front door: what every way to measure asks for, and how it gets a plan and an observer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

import torch

from psychophys.base.errors import UsageError, unknown
from psychophys.base.types import Progress
from psychophys.measurement.batches import check_batch
from psychophys.measurement.options import Options
from psychophys.measurement.plan import plan
from psychophys.measurement.run import run
from psychophys.observers.devices import DTYPES, check_numbers, pick_device
from psychophys.observers.load import load_observer
from psychophys.observers.names import DEFAULT_MODEL
from psychophys.observers.observer import Observer
from psychophys.results.thresholds import Results
from psychophys.stimuli import Stimulus

P = ParamSpec("P")
R = TypeVar("R")
Planned = TypeVar("Planned")
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _keywords(of: Callable[..., Any], *but: str) -> dict[str, inspect.Parameter]:
    """What a function takes by name, with the defaults that it has."""
    every = inspect.signature(of).parameters
    return {name: p.replace(kind=_KEYWORD) for name, p in every.items() if name not in but}


OBSERVER_OPTIONS = {
    name: p.replace(default="auto") if name == "device" else p
    for name, p in _keywords(load_observer, "model").items()
}
"""Of :func:`psychophys.load_observer`; a device is picked where none is named."""
PLAN_OPTIONS = _keywords(plan)
"""Of :func:`psychophys.plan`."""


def takes_options(*leaves_out: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a function, which takes ``**options``, the signature of all that these are, and hold it to that.

    Parameters
    ----------
    leaves_out
        Options of :func:`psychophys.plan` that it does not take.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = inspect.signature(function)
        named = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        known = {p.name for p in named} | set(leaves_out)
        shared = [p for name, p in {**PLAN_OPTIONS, **OBSERVER_OPTIONS}.items() if name not in known]
        whole = own.replace(parameters=[*named, *shared])

        @functools.wraps(function)
        def wrapped(*args: P.args, **options: P.kwargs) -> R:
            try:
                whole.bind(*args, **options)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(*args, **options)

        wrapped.__signature__ = whole  # type: ignore[attr-defined]
        return wrapped

    return decorate


def enter(
    model: str | Observer,
    planner: Callable[..., Planned],
    options: Mapping[str, Any],
    batch_size: int | None = None,
) -> tuple[Planned, Observer]:
    """Plan, then load: nothing is loaded for a request that cannot be met.

    Parameters
    ----------
    model
        A name for :func:`psychophys.load_observer`, or an observer, which brings its own weights.
    planner
        Takes the options that are not of the observer.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    """
    if not isinstance(model, (str, Observer)):
        raise UsageError(
            f"a model of type {type(model).__name__}",
            "Give a name, or wrap a network: psychophys.Observer(network, input_size=(224, 224)).",
        )
    observing = {name: value for name, value in options.items() if name in OBSERVER_OPTIONS}
    planned = planner(**{name: value for name, value in options.items() if name not in observing})
    check_batch(batch_size)
    if isinstance(model, Observer):
        return planned, _as_asked(model, observing)
    device = pick_device(observing.pop("device", "auto"), str(observing.get("dtype", "float32")))
    return planned, load_observer(model, device=device, **observing)


def _as_asked(observer: Observer, options: dict[str, Any]) -> Observer:
    """An observer that is given with options of a model that is named: float64 alone can be had of it."""
    dtype = str(options.pop("dtype", observer.dtype)).removeprefix("torch.")
    own = {"weights": observer.weights, "seed": observer.seed, "checkpoint": observer.checkpoint}
    own |= {"device": str(observer.device), "arithmetic": observer.arithmetic.name}
    own |= {"noise_seed": observer.noise_seed}
    for name, value in options.items():
        if value not in (own[name], None, "auto"):
            raise UsageError(
                f"{name} {value} with an observer, which has its own", "Give it to psychophys.Observer."
            )
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    if DTYPES[dtype] == observer.dtype:
        return observer
    if DTYPES[dtype] != torch.float64:
        raise UsageError(f"dtype {dtype} with an observer of float64", "Give it to psychophys.Observer.")
    check_numbers(observer.device, torch.float64)
    return observer.double()


@takes_options()
def measure(
    model: str | Observer = DEFAULT_MODEL,
    stimulus: str | Stimulus | None = None,
    dimension: str | None = None,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Results:
    """Measure discrimination thresholds of every chosen layer of a model.

    Parameters
    ----------
    model
        A name for :func:`psychophys.load_observer`, or an :class:`psychophys.Observer`.
    stimulus, dimension
        See :func:`psychophys.plan`.
    batch_size
        Images in one forward pass; halved as often as memory needs. Does not change results
        beyond rounding.
    progress
        Called with the images done and the images in all.
    **options
        Of the measurement: ``values``, ``parameters``, ``layers``, ``estimator``, ``noise`` and all else
        that :func:`psychophys.plan` takes. Of the observer: ``weights``, ``seed``, ``checkpoint``,
        ``device`` and ``dtype`` as :func:`psychophys.load_observer` takes them, where ``model`` is a name;
        ``device`` is ``"auto"`` unless it is said.

    Returns
    -------
    Results
        One row for each layer and value.

    Raises
    ------
    UsageError
        For an unknown name or an impossible value.
    MeasurementError
        For a measurement that fails while it runs.

    Examples
    --------
    >>> import psychophys
    >>> table = psychophys.measure(layers="blocks.*", values=4, parameters={"phase": 2})
    >>> table.to_pandas()[["layer", "value", "threshold"]].shape
    (92, 3)
    """
    asked = {"stimulus": stimulus, "dimension": dimension, **options}
    measurement, observer = enter(model, plan, asked, batch_size)
    return run(measurement, observer, batch_size=batch_size, progress=progress)
