"""A stimulus of one's own: a bar whose width is measured.

python examples/custom_stimulus.py
"""

from collections.abc import Mapping

import torch
from torch import Tensor

import psychophys

WIDTH = psychophys.Parameter(
    name="width",
    unit="image",
    default=0.1,
    low=0.01,
    high=0.9,
    sweep=(0.05, 0.5),
    step=1e-4,
    meaning="of the bar",
    log=True,
)


def draw_bar(p: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """A vertical bar with soft sides on grey; (N, 1, 1) widths to (N, H, W) images."""
    distance = x.abs() - p["width"] / 2
    return 0.5 + 0.5 * torch.sigmoid(-distance / 0.01) + 0 * y


BAR = psychophys.Stimulus("bar", "vertical bar with soft sides", (WIDTH,), draw_bar)

if __name__ == "__main__":
    table = psychophys.measure(stimulus=BAR, values=8, layers="blocks.*")
    print(psychophys.summarize(table)[["layer", "mean_threshold", "best_value", "worst_value"]])
