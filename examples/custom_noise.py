"""A noise model of one's own: variance that grows with the square of the response, whatever its sign.

    python examples/custom_noise.py

Where noise is independent between units, the variance of each unit is all that is needed: information,
thresholds, intervals, simulated observers and Fisher matrices follow from it.
"""

from __future__ import annotations

import torch

import psychophys


def variance(response: torch.Tensor, options: dict[str, float]) -> torch.Tensor:
    """Of each unit at unit noise, (N, F) -> (N, F): over 0 for all responses."""
    return response.square() + options["floor"] ** 2


def scale(level: float, response_rms: float) -> float:
    """What J at unit noise is divided by."""
    return level


MULTIPLICATIVE = psychophys.Noise(
    "multiplicative",
    "J = sum over units of (dr/dtheta)^2 / (level * (r^2 + floor^2))",
    "variance over r^2 + floor^2",
    "an example",
    scale,
    variance,
    (psychophys.Option("floor", "activation units", 0.1, 1e-6, 1e6, "s.d. of a silent unit"),),
)

if __name__ == "__main__":
    results = psychophys.measure(
        noise=MULTIPLICATIVE,
        noise_options={"floor": 0.5},
        layers="blocks.*",
        values=4,
        parameters={"phase": 2},
    )
    print(psychophys.summarize(results)[["layer", "mean_threshold", "status"]].to_string(index=False))
