"""From what was kept of each image to thresholds, their intervals, and indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from psychophys.base.types import Array
from psychophys.measurement.intervals import halves_error, interval, leaving_out, resampling_weights
from psychophys.measurement.spec import Measurement
from psychophys.measurement.sums import Sums
from psychophys.noise.information import threshold
from psychophys.observers.layers import Layer
from psychophys.results.indices import INDICES

FEWEST_LEVELS = 6
"""Of a nuisance parameter, from which there are intervals: fewer do not hold what they promise."""
PRECISE_LEVELS = 8
"""From which an interval's width is believed."""


@dataclass(frozen=True)
class Done:
    """A measurement that was made: its layers and what was kept of them.

    Attributes
    ----------
    jumping
        Layers without a derivative: their differences go with the step.
    """

    measurement: Measurement
    layers: Sequence[Layer]
    sums: Sums
    jumping: frozenset[str] = frozenset()

    @cached_property
    def _counts(self) -> list[int]:
        return [len(values) for values in self.measurement.parameters.values()]

    @cached_property
    def _weights(self) -> Array | None:
        if not self.measurement.noise.method.has_intervals or self._levels < FEWEST_LEVELS:
            return None
        return resampling_weights(self._counts, self.measurement.nuisance)

    @cached_property
    def _levels(self) -> int:
        """Of the nuisance parameter that has the fewest to resample."""
        pairs = zip(self._counts, self.measurement.nuisance, strict=True)
        return min((count for count, drawn in pairs if drawn and count > 1), default=1)

    @cached_property
    def _resampled(self) -> dict[str, Array]:
        if self._weights is None:
            return {}
        return {layer.name: self._information(layer, self._weights) for layer in self.layers}

    def response_rms(self, layer: Layer) -> float:
        """R.m.s. response over all images shown."""
        return float(np.sqrt(self.sums.response[layer.name].mean() / layer.n_features))

    def information(self, layer: Layer) -> Array:
        """Fisher information at every value, pooled over the samples: (K,)."""
        n = self.sums.n_samples
        mean: Array = self._information(layer, np.full((1, n), 1 / n))[0]
        return mean

    def _information(self, layer: Layer, weights: Array) -> Array:
        """The same for rows of weights over the samples: (B, S) -> (B, K)."""
        setting = self.measurement.setting
        square = (weights @ self.sums.response[layer.name]).mean(axis=1) / layer.n_features
        variance = np.array([setting.variance(float(np.sqrt(s))) for s in square])[:, None]
        average = setting.noise.method.average(setting, self.sums.information[layer.name], weights, variance)
        return average * self.measurement.pooling.factor(self.sums.n_samples)

    def interval(self, layer: Layer) -> tuple[Array, Array] | None:
        """Of the thresholds, from the bootstrap over nuisance samples; None with one sample."""
        if layer.name not in self._resampled:
            return None
        low, high = interval(self._resampled[layer.name], self._levels, self.measurement.confidence)
        return threshold(high, self.measurement.dprime), threshold(low, self.measurement.dprime)

    @property
    def precise(self) -> bool:
        """Whether every interval is as tight as was asked for."""
        if self.measurement.precision is None:
            return True
        if self._levels < PRECISE_LEVELS:
            return False
        for layer in self.layers:
            ends, j = self.interval(layer), self.information(layer)
            if ends is None:
                return False
            if not j.any() or not np.isfinite(j).all():
                continue  # No number of samples changes that.
            with np.errstate(invalid="ignore"):
                width = (ends[1] - ends[0]) / 2
                tight = width <= self.measurement.precision * threshold(j, self.measurement.dprime)
            if not tight.all():
                return False
        return True

    def rows(self, layer: Layer) -> list[dict[str, Any]]:
        """The columns of the results table that are computed, for every value."""
        j = self.information(layer)
        limits = threshold(j.clip(min=0), self.measurement.dprime)
        low, high = self.interval(layer) or (None, None)
        columns = self.measurement.noise.method.columns(self.sums.of(layer.name), j)
        status = self._status(layer, j, columns)
        rms = self.response_rms(layer)
        return [
            {
                "value": value,
                "fisher_information": float(j[k]),
                "sensitivity": float(np.sqrt(max(j[k], 0.0))) if np.isfinite(j[k]) else float(j[k]),
                "threshold": float(limits[k]),
                "threshold_low": None if low is None else float(low[k]),
                "threshold_high": None if high is None else float(high[k]),
                **{name: float(column[k]) for name, column in columns.items()},
                "response_rms": rms,
                "status": status,
            }
            for k, value in enumerate(self.measurement.values)
        ]

    def _status(self, layer: Layer, j: Array, columns: Mapping[str, Array]) -> str:
        noise, kept = self.measurement.noise, self.sums.of(layer.name)
        if layer.name in self.jumping:
            return "not_differentiable"
        if noise.domain is not None and np.isnan(kept["information"]).any():
            return noise.domain.status if np.isfinite(kept["response"]).all() else "not_finite"
        if not np.isfinite(j).all():
            return "not_finite"
        if not j.any():
            return "insensitive"
        return noise.method.status(self.measurement.noise_options, columns)

    @cached_property
    def indices(self) -> dict[str, dict[str, list[float | None]]]:
        """Intervals of every index by layer, as ``[low, high]``; none with one sample."""
        values = np.array(self.measurement.values)
        found: dict[str, dict[str, list[float | None]]] = {}
        for name, resampled in self._resampled.items():
            for index in INDICES.values():
                if not index.applies(self.measurement.dimension):
                    continue
                computed = index.compute(values, np.sqrt(resampled.clip(min=0)))
                ends = interval(computed, self._levels, self.measurement.confidence)
                if np.isfinite(ends).all():
                    found.setdefault(name, {})[index.name] = [float(end) for end in ends]
        return found

    @cached_property
    def left_out(self) -> dict[str, dict[str, list[float]]]:
        """By layer and nuisance parameter: mean log threshold without each of its levels in turn, at d' 1.

        From these, two measurements in the same samples are compared sample by sample. Layers are left out
        that have no threshold at some value, and all where there are no intervals.
        """
        found: dict[str, dict[str, list[float]]] = {}
        for axis, (name, drawn) in enumerate(
            zip(self.measurement.parameters, self.measurement.nuisance, strict=True)
        ):
            if self._weights is None or not drawn or self._counts[axis] < 2:
                continue
            weights = leaving_out(self._counts, axis)
            for layer in self.layers:
                j = self._information(layer, weights)
                if layer.name not in self.jumping and np.isfinite(j).all() and (j > 0).all():
                    logs = -np.log(j).mean(axis=1) / 2
                    found.setdefault(layer.name, {})[name] = [round(float(log), 9) for log in logs]
        return found

    @cached_property
    def halves_error(self) -> dict[str, float]:
        """By layer: standard error of log thresholds from halves of the samples, median over values."""
        found = {}
        for layer in self.layers:
            error = self._halves_error(layer)
            if error is not None and np.isfinite(error).any():
                found[layer.name] = float(np.nanmedian(error))
        return found

    def _halves_error(self, layer: Layer) -> Array | None:
        own = self.measurement.noise.method.error_of_halves(self.sums.of(layer.name))
        if own is not None:
            return own
        return halves_error(self.sums.information[layer.name], self._counts, self.measurement.nuisance)
