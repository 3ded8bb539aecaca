"""The options that every way to measure takes, as types: a test holds them to what the functions take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from psychophys.measurement.plan import Values
from psychophys.noise.information import Noise
from psychophys.responses.estimators import Estimator
from psychophys.stimuli import Display, Stimulus


class ObserverOptions(TypedDict, total=False):
    """Of :func:`psychophys.load_observer`."""

    weights: str
    seed: int
    checkpoint: str | Path | None
    device: str
    dtype: str
    arithmetic: str
    noise_seed: int | None


class Options(ObserverOptions, total=False):
    """Of :func:`psychophys.plan`, but for stimulus and dimension, and of the observer."""

    values: Values
    parameters: Mapping[str, Values] | None
    layers: str | Sequence[str]
    estimator: str | Estimator | None
    step: float | None
    noise: str | Noise | None
    noise_level: float | None
    noise_options: Mapping[str, float] | None
    dprime: float
    confidence: float
    precision: float | None
    preset: str | None
    pooling: str | None
    images: Sequence[str | Path]
    display: str | Display | Mapping[str, Any] | None


class StimulusOptions(Options, total=False):
    """The same with the stimulus."""

    stimulus: str | Stimulus | None


class AllOptions(StimulusOptions, total=False):
    """The same with the stimulus and the dimension."""

    dimension: str | None
