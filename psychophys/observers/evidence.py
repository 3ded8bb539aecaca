"""What the passes of a contract show of each layer: numbers, and what numbers of a type can show."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

NAN = float("nan")
ROUNDED = 1e-7
"""A change by so much of the response may be its rounding."""
SQUARELY, WHOLE = 4.0, 0.3
"""By which an error may differ from what the square of the step makes of the one before; and a large one."""
FAINT_STEP, FAINT = 1e-4, 1e5
"""A change over this step that is not so many times the rounding cannot be told by differences."""


@dataclass(frozen=True)
class Tolerance:
    """What numbers of a type can show.

    Attributes
    ----------
    steps
        Half-widths of the two differences that every layer is tested with, in images' units.
    more_steps
        Those that are taken where the first do not agree with the tangent.
    agrees
        Relative error of a tangent against the first.
    nearly
        The same over the best of all steps: a part may be computed in float32.
    same
        Relative change of an element that is computed again.
    nothing
        What a response is multiplied by to give the norm of a difference that is rounding.
    """

    steps: tuple[float, float]
    more_steps: tuple[float, ...]
    agrees: float
    nearly: float
    same: float
    nothing: float


DOUBLE = Tolerance((1e-8, 1e-4), (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1), 2e-3, 2e-2, 1e-9, 1e-14)
SINGLE = Tolerance((3e-3, 1e-2), (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), 5e-2, 0.1, 1e-4, 1e-6)


@dataclass
class Passed:
    """What two passes show of a layer.

    Attributes
    ----------
    response
        To one image, (F,).
    differences
        Directional derivatives there by differences over a small and a larger step, (F,).
    unlike
        Largest relative change of an element of ``response`` in the second pass.
    tangent
        Norm of the directional derivative by forward mode; None where there is none.
    errors
        Its relative differences from ``differences``.
    """

    response: Tensor
    differences: tuple[Tensor, Tensor]
    unlike: float = NAN
    tangent: float | None = None
    errors: tuple[float, float] = (NAN, NAN)


@dataclass(frozen=True)
class Differences:
    """Directional derivatives of a layer by differences over steps that grow.

    Attributes
    ----------
    norms
        0 where the response does not change beyond rounding.
    changes
        Relative differences of neighbours, one fewer.
    errors
        Of the tangent against each; NaN where both are 0.
    tangent
        Norm of the directional derivative by forward mode, 0 where there is none.
    steps
        Their half-widths.
    response
        Norm of the response itself.
    """

    norms: tuple[float, ...]
    changes: tuple[float, ...]
    errors: tuple[float, ...]
    tangent: float
    steps: tuple[float, ...]
    response: float

    def is_curved(self, to: int) -> bool:
        """Whether the step with this index is where a smooth function's curvature shows.

        The error of a difference grows with the square of its step there, up to one of the whole; a jump is
        not announced.
        """
        if to < 2:
            return False
        expected = [self.errors[i] * (self.steps[i + 1] / self.steps[i]) ** 2 for i in (to - 2, to - 1)]
        follows = 1 / SQUARELY < expected[0] / max(self.errors[to - 1], 1e-300) < SQUARELY
        return follows and expected[1] >= WHOLE

    def is_rounded(self, agrees: float) -> bool:
        """Whether all that the tangent misses, up to a step where it does not, is lost in the response.

        Where a response is made of much larger numbers, its rounding is more than that of itself.
        """
        for i, (error, norm, step) in enumerate(zip(self.errors, self.norms, self.steps, strict=True)):
            if error <= agrees:
                return i > 0
            if error * max(norm, self.tangent) * 2 * step > ROUNDED * self.response:
                return False
        return False


def is_faint(tangent: float, response: float, tolerance: Tolerance) -> bool:
    """Whether a change of that norm is lost in the rounding of the response over all but large steps."""
    return tangent * FAINT_STEP < FAINT * tolerance.nothing * response
