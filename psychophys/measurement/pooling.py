"""How the Fisher information of the samples of a measurement becomes one number."""

from __future__ import annotations

from dataclasses import dataclass

from psychophys.base.registry import Registry


@dataclass(frozen=True)
class Pooling:
    """What J of a measurement is of.

    Attributes
    ----------
    summary
        What is said of it.
    together
        Whether all samples are shown to who discriminates, each with noise of its own: J adds up. Otherwise
        it is that of one sample, on average.
    """

    name: str
    summary: str
    together: bool

    def factor(self, n_samples: int) -> int:
        """By which J is more than its mean over so many samples."""
        return n_samples if self.together else 1


POOLINGS = Registry(
    "pooling",
    (
        Pooling("mean", "J of one sample, on average", together=False),
        Pooling("sum", "J of all samples together", together=True),
    ),
    Pooling,
)
