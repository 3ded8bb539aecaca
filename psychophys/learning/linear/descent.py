"""Linear autoencoders trained by full-batch gradient descent, with exact gradients from the covariance.

Training runs in the basis of the covariance's eigenvectors U. There C is diagonal, which saves a product
of matrices a step, and the strengths of the modes are the diagonal of W_N ... W_1. Gradient descent does not
notice: with W_1 -> W_1 U and W_N -> U^T W_N, every step is that of the pixels, turned.

Balanced weights are O_l S O_(l-1)^T with rotations O and one diagonal S in all layers. So are their
gradients, with another diagonal: gradient descent changes S alone, and takes a step with D numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from psychophys.base.errors import MeasurementError
from psychophys.base.types import Array
from psychophys.learning.linear.theory import Depth
from psychophys.observers import learned
from psychophys.observers.learned import Described

Weights = list[Tensor]
EVERY = 200
"""Steps between two calls of a progress function."""


def balanced(depth: Depth, size: int, strength: float, generator: np.random.Generator) -> Weights:
    """Matrices c O_l O_(l-1)^T with random rotations O_l, and none at the two ends.

    Their product is ``strength`` times the identity and every layer has the same share in it, so that the
    closed forms hold from the first step.

    Parameters
    ----------
    size
        Pixels of a patch, D.
    strength
        Of every mode at step 0.

    Returns
    -------
    list
        (D, D) in float64 each, the first layer first; one for tied weights.
    """
    return turned_by(rotations(depth, size, generator), np.full(size, strength ** (1 / depth.layers)))


def rotations(depth: Depth, size: int, generator: np.random.Generator) -> list[Array]:
    """Of the spaces between the layers, input and output included: none at these two.

    Tied weights have two: of the input, none, and of the hidden layer.

    Parameters
    ----------
    size
        Pixels of a patch, D.

    Returns
    -------
    list
        (D, D) each.
    """
    none = np.eye(size)
    hidden = [_rotation(size, generator) for _ in range(depth.layers - 1)]
    return [none, *hidden] if depth.tied else [none, *hidden, none]


def turned_by(spaces: Sequence[Array], shares: Array) -> Weights:
    """Balanced weights O_l S O_(l-1)^T.

    Parameters
    ----------
    spaces
        From :func:`rotations`.
    shares
        Of a layer in each mode, the diagonal of S: (D,).
    """
    return [torch.from_numpy((after * shares) @ before.T) for before, after in pairwise(spaces)]


def uniform(depth: Depth, eigenvectors: Array, scale: float, generator: np.random.Generator) -> Weights:
    """Independent weights from -scale/2 to scale/2 in the basis of pixels, turned to that of modes.

    The initialisation of Benjamin et al. (2022), whose scale is 0.02.

    Returns
    -------
    list
        See :func:`balanced`.
    """
    turn = torch.from_numpy(np.ascontiguousarray(eigenvectors))
    drawn = generator.uniform(-scale / 2, scale / 2, (1 if depth.tied else depth.layers, *turn.shape))
    return _turned(list(torch.from_numpy(drawn)), turn.T, depth)


def _rotation(size: int, generator: np.random.Generator) -> Array:
    """An orthogonal matrix, uniform over all (Mezzadri 2007): (D, D)."""
    q, r = np.linalg.qr(generator.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def _turned(weights: Weights, turn: Tensor, depth: Depth) -> Weights:
    """The same network in another basis: ``turn`` takes the old one to the new one."""
    turned = list(weights)
    turned[0] = turned[0] @ turn.T
    if not depth.tied:
        turned[-1] = turn @ turned[-1]
    return turned


def initial_strengths(depth: Depth, weights: Weights) -> Array:
    """Strengths at step 0 that the closed forms begin with, of every mode: (D,).

    For two layers and tied weights, these are what grows of unbalanced weights: |a + b|^2 / 4 with
    a = W_2^T u and b = W_1 u, and |W u|^2. For one and for three layers, u.Wu: in three layers the closed
    form is then right for balanced weights alone.
    """
    if depth.tied:
        found = (weights[0] ** 2).sum(dim=0)
    elif depth.layers == 2:
        found = ((weights[1].T + weights[0]) ** 2).sum(dim=0) / 4
    else:
        found = _product(weights, depth).diagonal()
    return np.asarray(found.cpu().double().numpy())


def _product(weights: Weights, depth: Depth) -> Tensor:
    whole = weights[0]
    if depth.tied:
        return whole.T @ whole
    for weight in weights[1:]:
        whole = weight @ whole
    return whole


def gradients(depth: Depth, weights: Weights, eigenvalues: Tensor) -> tuple[Tensor, Weights]:
    """Of 0.5 E|x - x_hat|^2 by each matrix, in the basis of modes.

    Parameters
    ----------
    weights
        (D, D) each.
    eigenvalues
        Of the covariance: (D,).

    Returns
    -------
    tuple
        The product of all matrices, and a gradient for each.
    """
    before = [weights[0]]
    for weight in weights[1:]:
        before.append(weight @ before[-1])
    product = weights[0].T @ weights[0] if depth.tied else before[-1]
    # By the product, the gradient is -(1 - P) C.
    back = product * eigenvalues
    back.diagonal().sub_(eigenvalues)
    if depth.tied:
        return product, [weights[0] @ (back + back.T)]
    found = []
    for place in range(len(weights) - 1, 0, -1):
        found.append(back @ before[place - 1].T)
        back = weights[place].T @ back
    return product, [back, *reversed(found)]


@dataclass(frozen=True)
class Trained:
    """What is kept of one training.

    Attributes
    ----------
    strengths
        u.(W_N ... W_1)u of the first M modes at every step, 0 and the last included: (T + 1, M).
    sensitivities
        |(W_N ... W_1)u|: of the output to the mode, with noise of s.d. 1: (T + 1, M).
    weights
        By step, in the basis of modes.
    """

    strengths: Array
    sensitivities: Array
    weights: Mapping[int, Weights]


def train(
    depth: Depth,
    weights: Weights,
    eigenvalues: Array,
    learning_rate: float,
    keep: Collection[int],
    modes: int,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] | None = None,
) -> Trained:
    """Take steps of gradient descent up to the last of ``keep``.

    Parameters
    ----------
    weights
        At step 0, in the basis of modes; they are left as they are.
    learning_rate
        Per step.
    keep
        Steps whose weights are kept.
    modes
        How many are followed.
    progress
        Called with the steps done since it was called last.

    Raises
    ------
    MeasurementError
        Where training diverges.
    """
    weights = [weight.to(device, dtype, copy=True) for weight in weights]
    values = torch.tensor(eigenvalues, dtype=dtype, device=device)
    last = max(keep)
    strengths = torch.empty(last + 1, modes, dtype=dtype, device=device)
    sensitivities = torch.empty_like(strengths)
    kept: dict[int, Weights] = {}
    for step in range(last + 1):
        product, slopes = gradients(depth, weights, values)
        strengths[step] = product.diagonal()[:modes]
        sensitivities[step] = torch.linalg.vector_norm(product[:, :modes], dim=0)
        if step in keep:
            kept[step] = [weight.clone() for weight in weights]
        if step < last:
            for weight, slope in zip(weights, slopes, strict=True):
                weight.sub_(slope, alpha=learning_rate)
        if progress is not None and step and step % EVERY == 0:
            progress(EVERY)
    if not bool(torch.isfinite(strengths).all()):
        raise MeasurementError(f"training of {depth.model} diverged", "Give a smaller --learning-rate.")
    if progress is not None:
        progress(last % EVERY)
    return Trained(strengths.cpu().double().numpy(), sensitivities.cpu().double().numpy(), kept)


def train_balanced(
    depth: Depth,
    spaces: Sequence[Array],
    strength: float,
    eigenvalues: Array,
    learning_rate: float,
    keep: Collection[int],
    modes: int,
) -> Trained:
    """The training of balanced weights, mode by mode: the steps of :func:`train`, in float64.

    With a mode's share s in every layer, the gradient by each is -lambda s^(N-1) (1 - s^N); with tied
    weights, which are used twice, it is twice that.

    Parameters
    ----------
    spaces
        From :func:`rotations`.
    strength
        Of every mode at step 0.
    """
    last, n = max(keep), depth.layers
    shares = np.full(len(eigenvalues), strength ** (1 / n))
    pace = (2 if depth.tied else 1) * learning_rate * eigenvalues
    strengths = np.empty((last + 1, modes))
    kept: dict[int, Weights] = {}
    for step in range(last + 1):
        strengths[step] = shares[:modes] ** n
        if step in keep:
            kept[step] = turned_by(spaces, shares)
        shares = shares + pace * shares ** (n - 1) * (1 - shares**n)
    # Rotations at the two ends are none: of the product, only the diagonal is not 0.
    return Trained(strengths, strengths, kept)


def half_times(strengths: Array) -> Array:
    """Steps at which modes first have half their final strength, interpolated: (T + 1, M) -> (M,).

    NaN for a mode that starts there, or does not get there.
    """
    over = strengths >= 0.5
    first = over.argmax(axis=0)
    reached = over.any(axis=0) & (first > 0)
    modes = np.arange(strengths.shape[1])
    above, below = strengths[first, modes], strengths[first - 1, modes]
    steps = first - 1 + (0.5 - below) / np.where(reached, above - below, 1)
    return np.asarray(np.where(reached, steps, np.nan))


def network(depth: Depth, mean: Tensor, weights: Weights, eigenvectors: Tensor) -> nn.Sequential:
    """The autoencoder in the basis of pixels: see :func:`psychophys.observers.learned.linear`.

    Parameters
    ----------
    mean
        Of each pixel: (D,).
    weights, eigenvectors
        In the basis of modes, and that basis: (D, D) each.
    """
    turned = _turned([weight.to(eigenvectors) for weight in weights], eigenvectors, depth)
    if depth.tied:
        turned.append(turned[0].T)
    made = learned.linear(len(mean), len(turned))
    state = {f"layer{place}.weight": matrix for place, matrix in enumerate(turned, start=1)}
    made.load_state_dict({"pixels.mean": mean, **state})
    return made


def describe(depth: Depth, patch: int, seed: int = 0) -> Described:
    """What a checkpoint of :func:`network` says: grey images of the size of a patch, as they are."""
    layers = 2 if depth.tied else depth.layers
    settings = {"size": patch**2, "layers": layers}
    return Described(depth.model, "linear", settings, (patch, patch), (0.0,), (1.0,), seed)
