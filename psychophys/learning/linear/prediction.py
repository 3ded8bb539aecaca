"""Acuity that the closed forms predict: their strengths, shown the same gratings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array
from psychophys.learning.acuities import CRITERION, crossing
from psychophys.learning.linear.descent import describe, network
from psychophys.learning.linear.patches import Statistics
from psychophys.learning.linear.theory import Depth, get_depth, strength
from psychophys.measurement.blocks import present
from psychophys.measurement.spec import Measurement
from psychophys.observers.layers import select_layers
from psychophys.observers.load import observe_learned
from psychophys.responses.estimators import ESTIMATORS


def projections(measurement: Measurement, statistics: Statistics) -> Array:
    """Squared derivative of the stimuli along every mode, averaged over samples: (K values, D modes)."""
    mean, basis = torch.from_numpy(statistics.mean), torch.from_numpy(statistics.eigenvectors.copy())
    # Any weights will do: the derivative is read before the first of them.
    one = get_depth("1")
    described = describe(one, round(len(mean) ** 0.5))
    observer = observe_learned(described, network(one, mean, [basis], basis))
    found: list[Tensor] = []

    def receive(_name: str, _: Tensor, tangent: Tensor | None) -> None:
        if tangent is not None:
            found.append(tangent.double())

    layers = select_layers(observer, ["pixels"]).layers
    count = len(measurement.samples), len(measurement.values)
    whole = slice(0, count[0]), slice(0, count[1])
    width = present(measurement, observer, layers, whole, ESTIMATORS["jvp"]).respond(receive, in_order=True)
    along = (torch.cat(found) / width) @ basis
    return np.asarray((along**2).reshape(*count, -1).mean(dim=0).numpy())


def predicted_acuity(
    measurement: Measurement,
    projected: Array,
    depth: Depth,
    initial: Array,
    rate: Array,
    steps: Sequence[int],
) -> Array:
    """Acuity over training where every mode follows its closed form.

    Parameters
    ----------
    measurement
        Over frequencies, from the lowest to the highest.
    projected
        From :func:`projections`: (K, D).
    initial, rate
        Of every mode: see :func:`psychophys.learning.linear.theory.half_time`.

    Returns
    -------
    Array
        As :func:`psychophys.learning.acuities.acuity` has it, for each of the steps: NaN where no frequency
        is told apart, or all are.
    """
    strengths = strength(depth, initial, rate, np.array(steps, float))
    information = strengths**2 @ projected.T / measurement.noise_level**2
    thresholds = measurement.dprime / np.sqrt(information)
    frequencies = np.array(measurement.values)
    return np.array([crossing(frequencies, each, CRITERION * thresholds[-1, 0]) for each in thresholds])
