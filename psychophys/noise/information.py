"""Information from responses: J is divided by the noise here. A noise model is a value, :class:`Noise`.

The noise of most models is independent between units: a function gives each unit's variance at unit
noise, and information, linear read-out and its variance all follow from it. Others need more than one
image's response, and bring a :class:`Method` of their own. The table of models is in
:mod:`psychophys.noise.models`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from psychophys.base.errors import MeasurementError, UsageError, unknown
from psychophys.base.types import STATUSES, Array
from psychophys.observers.layers import Layer
from psychophys.responses.presentation import Presentation, fetched

Options = Mapping[str, float]
Quantities = dict[str, dict[str, Array]]
"""By name of the quantity and of the layer: (S, K) for S samples and K values."""


@dataclass(frozen=True)
class Option:
    """A number of a noise model besides its level."""

    name: str
    unit: str
    default: float
    low: float
    high: float
    meaning: str


@dataclass(frozen=True)
class Domain:
    """The responses that a noise model is for.

    Attributes
    ----------
    status
        What a layer is called in the results that has others.
    others
        The same in words.
    refuses
        Whether a row of responses has some: (N, F) -> (N,).
    remedy
        What a user can do.
    """

    status: str
    others: str
    refuses: Callable[[Tensor], Tensor]
    remedy: str = ""


@dataclass(frozen=True)
class Method(ABC):
    """How the information of a block of stimuli comes of the responses to it.

    Attributes
    ----------
    estimators
        Names of those that it can use; empty for all.
    keeps
        Quantities that it fills besides ``information``, J at unit noise, and ``response``, squared norms.
    shows_all_samples
        Whether a block is one value in all samples.
    fewest_samples
        That differ in nuisance parameters alone.
    has_intervals
        Whether nuisance samples can be resampled.
    is_estimate
        Whether J can come out under 0.
    is_independent
        Whether noise is independent between units: then it can be simulated, and has a Fisher matrix.
    needs_adjoint
        Whether it takes products with the network's Jacobian from both sides.
    passes
        Cost of a measured image in plain forward passes; None for that of the estimator.
    """

    estimators: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    shows_all_samples: bool = False
    fewest_samples: int = 1
    has_intervals: bool = True
    is_estimate: bool = False
    is_independent: bool = False
    needs_adjoint: bool = False
    passes: float | None = None

    @abstractmethod
    def block(self, setting: Setting, shown: Presentation) -> Quantities:
        """Show a block, and reduce the responses."""

    def check_layers(self, options: Options, layers: Sequence[Layer], n_samples: int) -> None:  # noqa: B027
        """Raise :class:`UsageError` for layers that cannot be measured with so many samples of a group."""

    def average(self, setting: Setting, unit: Array, weights: Array, variance: Array) -> Array:
        """J for rows of weights over the samples: (S, K), (B, S) -> (B, K).

        Parameters
        ----------
        variance
            Of each row, (B, 1): what ``unit``, J at unit noise, is divided by.
        """
        if not setting.differential:
            return divided(weights @ unit, variance)
        pairs = zip(weights, variance, strict=True)
        return np.stack([row @ setting.saturated(divided(unit, own)) for row, own in pairs])

    def columns(self, kept: Mapping[str, Array], information: Array) -> dict[str, Array]:  # noqa: ARG002
        """Columns that the results have for it, (K,) each, from what was kept of one layer and its J."""
        return {}

    def status(self, options: Options, columns: Mapping[str, Array]) -> str:  # noqa: ARG002
        """``ok`` or ``not_converged``, of a layer whose J is finite and not 0."""
        return "ok"

    def error_of_halves(self, kept: Mapping[str, Array]) -> Array | None:  # noqa: ARG002
        """Standard error of log threshold, (K,), where this method has its own way to it."""
        return None


class Independent(Method):
    """One image's response says all: J is a sum over units."""

    def block(self, setting: Setting, shown: Presentation) -> Quantities:
        """J and squared norms, reduced inside the forward pass."""
        j: dict[str, list[Tensor]] = {layer.name: [] for layer in shown.layers}
        squares: dict[str, list[Tensor]] = {layer.name: [] for layer in shown.layers}
        least: list[Tensor] = []

        def receive(name: str, response: Tensor, change: Tensor | None) -> None:
            norms = squared_norm(response)
            squares[name].append(norms)
            j[name].append(
                torch.zeros_like(norms)
                if change is None
                else setting.information(response, change, exact=shown.estimator.exact, least=least)
            )

        width = shown.respond(receive)
        numbers = {("information", name): torch.cat(parts) for name, parts in j.items()}
        numbers |= {("response", name): torch.cat(parts) for name, parts in squares.items()}
        numbers |= {("least", str(place)): part for place, part in enumerate(least)}
        found = fetched(numbers)
        setting.check_least([part for (what, _), part in found.items() if what == "least"])
        information = {name: found["information", name].reshape(shown.shape) / width**2 for name in j}
        return {
            "information": information,
            "response": {name: found["response", name].reshape(shown.shape) for name in squares},
        }


INDEPENDENT = Independent(is_independent=True)


@dataclass(frozen=True)
class Noise:
    """A noise model.

    Attributes
    ----------
    formula, source
        Fisher information as printed, and where it is from.
    level_unit, level
        What the noise level is measured in, and its value when nothing is said.
    scale
        ``(level, response_rms) -> variance`` of a layer: what information at unit noise is divided by.
    unit_variance
        ``(response, options) -> variance of each unit`` at unit noise, shapes (N, F) -> (N, F); None
        where all are 1.
    options
        Numbers besides the level. ``rectify`` counts negative responses as 0 where it is 1.
    domain
        Responses that it is for; None for all.
    method
        How the information of a block of stimuli comes of the responses to them.
    """

    name: str
    formula: str
    level_unit: str
    source: str
    scale: Callable[[float, float], float]
    unit_variance: Callable[[Tensor, Options], Tensor] | None = None
    options: tuple[Option, ...] = ()
    level: float = 1.0
    domain: Domain | None = None
    method: Method = INDEPENDENT

    def __post_init__(self) -> None:
        names = [option.name for option in self.options]
        wrong = ""
        if len({*names, DIFFERENTIAL.name}) <= len(names):
            wrong = f"options {names}: each has a name of its own, which is not {DIFFERENTIAL.name}"
        elif any(not option.low <= option.default <= option.high for option in self.options):
            wrong = f"options {names}: a default is between its limits"
        elif not self.method.is_independent and (self.unit_variance or self.domain):
            wrong = "a unit variance or a domain, which its method does not ask for"
        elif self.domain is not None and self.domain.status in STATUSES:
            wrong = f"status {self.domain.status!r}, which says something else"
        if wrong:
            raise ValueError(f"noise {self.name!r} with {wrong}")

    def option(self, name: str) -> Option:
        """Return the option of that name."""
        known = {option.name: option for option in (*self.options, DIFFERENTIAL)}
        if name not in known:
            raise unknown(f"option of {self.name} noise", name, known)
        return known[name]

    def settings(self, given: Options) -> dict[str, float]:
        """Every option's value, with what is given checked."""
        settings = {option.name: option.default for option in (*self.options, DIFFERENTIAL)}
        for name, value in given.items():
            option = self.option(name)
            if not isinstance(value, Real) or not option.low <= value <= option.high:
                raise UsageError(
                    f"{name} {value} of {self.name} noise cannot be used",
                    f"Give a number from {option.low:g} to {option.high:g}.",
                )
            settings[name] = float(value)
        return settings


DIFFERENTIAL = Option(
    "differential",
    "the dimension's unit, squared",
    0.0,
    0.0,
    1e100,
    "epsilon of differential correlations: J becomes J / (1 + epsilon J) (Moreno-Bote et al. 2014)",
)
"""Every model takes it: noise along the derivative itself, which no read-out can average away."""


@dataclass(frozen=True)
class Setting:
    """A noise model at a level, with its options: all that a layer's noise is."""

    noise: Noise
    level: float
    options: Options

    @property
    def differential(self) -> float:
        """Strength of differential correlations."""
        return self.options["differential"]

    def variance(self, response_rms: float) -> float:
        """Of a layer with that r.m.s. response: what information at unit noise is divided by."""
        variance = self.noise.scale(self.level, response_rms)
        if variance < 0:
            raise MeasurementError(
                f"noise {self.noise.name!r} has a variance of {variance:g} at level {self.level:g}",
                "Give it a scale that is not under 0.",
            )
        return variance

    def saturated(self, fisher_information: Array) -> Array:
        """J under differential correlations: J / (1 + epsilon J)."""
        with np.errstate(invalid="ignore"):
            return fisher_information / (1 + self.differential * fisher_information)

    def information(
        self, response: Tensor, tangent: Tensor, *, exact: bool = True, least: list[Tensor] | None = None
    ) -> Tensor:
        """Fisher information of each image at unit noise: (N, F), (N, F) -> (N,).

        NaN where the model is not for such responses. ``exact`` as in :meth:`rectified`, ``least`` as in
        :meth:`unit_variance`.
        """
        if self.noise.unit_variance is None:
            return squared_norm(tangent)
        response, tangent = self.rectified(response, tangent, exact=exact)
        refused = self.refused(response)
        j = (tangent.square() / self.unit_variance(response, refused, least)).sum(dim=1)
        return j if refused is None else torch.where(refused, torch.nan, j)

    def products(self, response: Tensor, tangents: Tensor, least: list[Tensor] | None = None) -> Tensor:
        """J_ij of each image at unit noise: (N, F), (n, N, F) -> (N, n (n + 1) / 2), row by row.

        NaN where the model is not for such responses. ``least`` as in :meth:`unit_variance`.
        """
        refused = None
        if self.noise.unit_variance is not None:
            response, tangents = self.rectified(response, tangents)
            refused = self.refused(response)
            tangents = tangents * self.unit_variance(response, refused, least).rsqrt()
        dots = [
            squared_norm(tangents[i]) if i == j else torch.linalg.vecdot(tangents[i], tangents[j])
            for i in range(len(tangents))
            for j in range(i, len(tangents))
        ]
        found = torch.stack(dots, dim=1)
        return found if refused is None else torch.where(refused[:, None], torch.nan, found)

    def unit_variance(
        self, response: Tensor, refused: Tensor | None = None, least: list[Tensor] | None = None
    ) -> Tensor:
        """Of each unit at unit noise, for responses that are rectified: (N, F) -> (N, F).

        Parameters
        ----------
        refused
            Rows that the model is not for, and whose variance means nothing.
        least
            Takes each row's least variance, for :meth:`check_least` once the device has come so far. Without
            it that is waited for.
        """
        assert self.noise.unit_variance is not None
        variance = self.noise.unit_variance(response, self.options)
        lowest = variance.amin(dim=1)
        if refused is not None:
            lowest = lowest.masked_fill(refused, 1.0)
        if least is None:
            self.check_least([fetched({"": lowest})[""]])
        else:
            least.append(lowest)
        return variance

    def check_least(self, least: Sequence[Array]) -> None:
        """Raise :class:`MeasurementError` for a variance that is not over 0."""
        wrong = [lowest for lowest in least if (lowest <= 0).any()]
        if wrong:
            raise MeasurementError(
                f"noise {self.noise.name!r} has a unit variance of {wrong[0].min():g} for a response "
                "that it is for",
                "Give it a variance over 0 for all responses, silent ones too, or a domain without these.",
            )

    def refused(self, response: Tensor) -> Tensor | None:
        """Which rows of rectified responses the model is not for: (N,); None where it is for all."""
        return None if self.noise.domain is None else self.noise.domain.refuses(response)

    def rectified(self, response: Tensor, tangent: Tensor, *, exact: bool = True) -> tuple[Tensor, Tensor]:
        """Responses and derivatives after max(r, 0), where the option ``rectify`` asks for it.

        Parameters
        ----------
        exact
            Whether ``tangent`` is a derivative, or else the difference of ``response`` from another one.
        """
        if not self.options.get("rectify"):
            return response, tangent
        if exact:
            return response.clamp(min=0), torch.where(response > 0, tangent, 0)
        return response.clamp(min=0), response.clamp(min=0) - (response - tangent).clamp(min=0)

    def read_out(self, response: Tensor, tangent: Tensor) -> Tensor:
        """Weights of the ideal linear read-out at unit noise, inverse variance times derivative: (N, F)."""
        if self.noise.unit_variance is None:
            return tangent
        response, tangent = self.rectified(response, tangent)
        return tangent / self.unit_variance(response)

    def read_out_variance(self, weights: Tensor, response: Tensor) -> Tensor:
        """Variance of ``weights @ response`` at unit noise: (N, F), (N, F) -> (N,)."""
        if self.noise.unit_variance is None:
            return squared_norm(weights)
        response, _ = self.rectified(response, response)
        return (weights.square() * self.unit_variance(response)).sum(dim=1)


def divided(unit: Array, variance: Array | float) -> Array:
    """J, from J at unit noise and the noise's variance in the layer.

    A layer that is silent has no variance where that goes with its response, and tells nothing: 0. One that
    is not finite stays so.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(variance) == 0, 0.0, unit / variance)


def squared_norm(rows: Tensor) -> Tensor:
    """Squared Euclidean norm of each row: (N, F) -> (N,)."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms.square()


def wide(tensor: Tensor) -> Tensor:
    """In double precision, where the device has it."""
    return tensor if tensor.device.type == "mps" else tensor.double()


def threshold(fisher_information: Array, dprime: float = 1.0) -> Array:
    """Discrimination threshold d' / sqrt(J), in the unit of the dimension; inf where J is 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(dprime / np.sqrt(fisher_information), dtype=np.float64)
