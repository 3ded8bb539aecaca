"""Pixel noise carried through the network: J = dr' (s^2 A A' + q^2 I)^-1 dr by conjugate gradients.

A = dr/dpixels is a layer's Jacobian, s the noise of the pixels, q that of the layer. A is never formed:
its products come from forward and reverse mode. Conjugate gradients give J from below and, with the
Gauss-Radau rule, from above (Golub & Meurant 2010, ch. 6; Meurant & Tichy 2013): convergence is
known, not hoped for. No layer can hold more than the pixels do, |ds|^2 / s^2, which is a bound as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from psychophys.base.types import Array
from psychophys.noise.information import Method, Options, Quantities, Setting, squared_norm, wide
from psychophys.observers.layers import Layer
from psychophys.observers.observer import Observer
from psychophys.responses.presentation import Presentation
from psychophys.responses.products import Products

Product = Callable[[Tensor], Tensor]
LOOK = 16
"""Steps of conjugate gradients after which a device is waited for."""


@dataclass(frozen=True)
class Bounds:
    """Fisher information of N images between bounds, shape (N,) each.

    Attributes
    ----------
    response
        Squared norm of the layer's response.
    """

    lower: Tensor
    upper: Tensor
    response: Tensor


def propagate(
    observer: Observer,
    layer: Layer,
    images: Tensor,
    tangent: Tensor,
    pixel_sd: float,
    response_sd: float,
    tolerance: float,
    iterations: int,
) -> Bounds:
    """Bounds on the information in a layer about the change ``tangent`` of the images.

    Parameters
    ----------
    images, tangent
        Shape (N, 3, H, W).
    pixel_sd
        Of the noise of every pixel and channel, in units of image values.
    response_sd
        Of the layer's own noise, as a fraction of its r.m.s. response to the image.
    tolerance, iterations
        Stops where the bounds' gap is this fraction of J in every image, or after so many steps.
    """
    products = Products(observer, layer, images, "Use another noise model than input.")
    response, forward, backward = products.response, products.forward, products.backward
    norm = wide(torch.linalg.vector_norm(response, dim=1)).square()
    own = response_sd**2 * norm / response.shape[1]
    pixels = _squares(tangent) / pixel_sd**2
    if not products.depends:
        nothing = torch.zeros_like(norm)
        return Bounds(nothing, nothing, norm)

    def noise(v: Tensor) -> Tensor:
        return pixel_sd**2 * forward(backward(v)) + _rows(own, v) * v

    lower, upper = quadratic_form(noise, forward(tangent), own, pixels, tolerance, iterations)
    return Bounds(lower, upper, norm)


def quadratic_form(
    matrix: Product, b: Tensor, least: Tensor, most: Tensor, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Bounds on b' M^-1 b for every row of b, by conjugate gradients.

    Parameters
    ----------
    matrix
        ``v -> M v`` for rows, M symmetric and positive.
    b
        Shape (N, F).
    least
        Nothing over the smallest eigenvalue of M, shape (N,); 0 where nothing is known.
    most
        An upper bound on the result that is known beforehand, shape (N,).
    """
    residual, direction = b, b
    square = start = _squares(b)
    lower = torch.zeros_like(square)
    upper = most.clone()
    active = square > 0
    radau = torch.where(least > 0, 1 / least, torch.inf)
    for done in range(iterations):
        # What is still to come is at most radau * |residual|^2.
        upper = torch.where(active, torch.minimum(upper, lower + radau * square), upper)
        active = active & (upper - lower > tolerance * upper) & (square > 1e-14 * start)
        # Rows that are done stay as they are, so that steps too many change nothing.
        if _is_looked_at(done, b.device) and not active.any():
            break
        image = matrix(direction)
        curvature = (wide(direction) * wide(image)).sum(dim=1)
        active = active & (curvature > 0)
        step = torch.where(active, square / curvature, 0.0)
        lower = lower + step * square
        residual = residual - _rows(step, b) * image
        previous, square = square, _squares(residual)
        ratio = torch.where(active, square / previous, 0.0)
        direction = residual + _rows(ratio, b) * direction
        radau = torch.where(active, (radau - step) / (least * (radau - step) + ratio), radau)
        radau = torch.where(torch.isfinite(radau), radau, torch.inf)
    solved = (square <= 1e-14 * start) | (start == 0)
    return lower, torch.where(solved, torch.minimum(upper, lower), upper)


def _is_looked_at(done: int, device: torch.device) -> bool:
    """Whether to see, after so many steps, if all rows are done: for that a GPU must be waited for."""
    return device.type == "cpu" or done % LOOK == 0 or (done < LOOK and done.bit_count() == 1)


def _squares(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return wide(norms).square()


def _rows(scale: Tensor, like: Tensor) -> Tensor:
    return scale.to(like.dtype)[:, None]


class FromPixels(Method):
    """Noise of the pixels, carried through the network to each layer in turn."""

    def block(self, setting: Setting, shown: Presentation) -> Quantities:
        """Lower bounds on J, their gap to the upper ones, and J of the pixels themselves."""
        images, tangent = shown.images()
        numbers = {("pixels", ""): squared_norm(tangent.flatten(1))}
        for layer in shown.layers:
            found = propagate(
                shown.observer,
                layer,
                images,
                tangent,
                setting.level,
                setting.options["response"],
                setting.options["tolerance"],
                int(setting.options["iterations"]),
            )
            gap = torch.where(found.upper > 0, (found.upper - found.lower) / found.upper, 0.0)
            numbers["information", layer.name] = found.lower
            numbers["response", layer.name] = found.response
            numbers["gap", layer.name] = gap
        tables = shown.tables(numbers)
        pixels = tables.pop(("pixels", "")) / setting.level**2
        kept: Quantities = {"information": {}, "response": {}, "gap": {}}
        for (quantity, name), table in tables.items():
            kept[quantity][name] = table
        return {**kept, "pixels": {layer.name: pixels for layer in shown.layers}}

    def columns(self, kept: Mapping[str, Array], information: Array) -> dict[str, Array]:
        """What share of the pixels' information the layer keeps, and how sure its J is."""
        pixels = kept["pixels"].mean(axis=0)
        retained = np.divide(information, pixels, out=np.zeros_like(information), where=pixels > 0)
        return {"retained_information": retained, "solver_gap": kept["gap"].max(axis=0)}

    def status(self, options: Options, columns: Mapping[str, Array]) -> str:
        """Whether the bounds are as near as was asked for."""
        return "not_converged" if (columns["solver_gap"] > options["tolerance"]).any() else "ok"


FROM_PIXELS = FromPixels(
    estimators=("jvp",),
    keeps=("gap", "pixels"),
    needs_adjoint=True,
    passes=4000.0,  # Some 400 in each of ten layers.
)
