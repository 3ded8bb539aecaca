"""How much a noisy grating tells of its class: an ideal observer, and noise that is chosen by it.

The observer sees x = g + n, where g is a grating of an unknown orientation within its class and unknown
phase, and n white noise in the dimensions that gratings vary in; noise in others says nothing of the class.
What an image tells of class c is D_c = E log2 p(x | c) / p(x), with x of class c, in bits: over the classes,
frequency * D_c adds up to the mutual information. The expectation is over images that are drawn.

Where noise differs between classes, how noisy an image is gives its class away, apart from the grating. A
network that is more sensitive to orientation would have no more of that. So an image is taken here as if
those of all classes had its noise.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import i0e, logsumexp

from psychophys.base.types import Array
from psychophys.learning.gratings.worlds import BINS, FINE, gratings, peaked

LEAST, MOST = 4.0, 20.0
"""S.d. of the noise where there is least, at which an image tells 5 of log2(60) = 5.9 bits; and the most that
is looked for."""
LEVELS = 7
NODES = (0, 7, 14, 21, 29)
"""Classes that noise is chosen for; others are in between, and 180 deg less an orientation is like it."""
DRAWN = 1000
"""Images of each class."""


def log_likelihoods(images: Array, noise: Array) -> Array:
    """Log p(x | class), but for a constant.

    Parameters
    ----------
    images
        In the basis of gratings: (N, k).
    noise
        S.d. of every class: (60,).

    Returns
    -------
    Array
        Shape (N, 60).
    """
    seen = gratings()
    even, odd = seen.even.double().numpy(), seen.odd.double().numpy()
    along = images @ even.T, images @ odd.T
    match = np.hypot(*along)
    # Gratings of phase 0 and 90 deg are orthogonal: with as much energy, the mean over phases is a Bessel
    # function. Their energies differ by 1 %; that of the likeliest phase is taken.
    energies = (even**2).sum(axis=1), (odd**2).sum(axis=1)
    energy = (along[0] ** 2 * energies[0] + along[1] ** 2 * energies[1]) / match**2
    variance = np.repeat(noise, FINE // BINS) ** 2
    match = match / variance
    distance = ((images**2).sum(axis=1)[:, None] + energy) / (2 * variance)
    each = np.log(i0e(match)) + match - distance - 0.5 * images.shape[1] * np.log(variance)
    return np.asarray(logsumexp(each.reshape(len(images), BINS, -1), axis=2))


def image_bits(
    frequency: Array, noise: Array, classes: tuple[int, ...], drawn: int = DRAWN, *, knows: bool = False
) -> Array:
    """What a noisy image tells of each of some classes, in bits: (C,).

    Parameters
    ----------
    frequency
        Of every class: (60,), or several of these, (P, 60), for as many rows of bits.
    noise
        S.d. of every class: (60,).
    drawn
        Images of each class, by the same random numbers.
    knows
        Whether the observer also goes by how noisy the images of each class are. Default: every image is
        taken as if those of all classes had its noise.
    """
    seen, generator = gratings(), np.random.default_rng(0)
    even, odd = seen.even.double().numpy(), seen.odd.double().numpy()
    within = generator.integers(FINE // BINS, size=drawn)
    phase = 2 * np.pi * generator.random((drawn, 1))
    white = generator.standard_normal((drawn, even.shape[1]))
    found = []
    for place in classes:
        chosen = place * (FINE // BINS) + within
        images = np.cos(phase) * even[chosen] + np.sin(phase) * odd[chosen] + noise[place] * white
        every = log_likelihoods(images, noise if knows else np.full(BINS, noise[place]))
        whole = logsumexp(every + np.log(frequency)[..., None, :], axis=-1)
        found.append((every[:, place] - whole).mean(axis=-1) / np.log(2))
    return np.stack(found, axis=-1)


def noise_for(frequency: Array, share: Array) -> Array:
    """S.d. of every class so that its images tell a share of the bits: (60,).

    Parameters
    ----------
    share
        Of the bits that an image of the class with share 1 tells, which has the least noise: (60,).
    """
    levels, alike = np.geomspace(LEAST, MOST, LEVELS), np.full(BINS, 1 / BINS)
    both = np.stack([frequency, alike])
    drawn, same = np.stack([image_bits(both, np.full(BINS, level), NODES) for level in levels], axis=1)
    # Were they equally frequent, all classes would be told as well: of what differs then, the draws are why.
    bits = drawn - same + same.mean(axis=1, keepdims=True)
    nodes = np.array(NODES)
    wanted = share[nodes] * bits[0, share[nodes].argmax()]
    # Bits fall with the level: they are read backwards.
    found = [np.interp(-bit, -column, np.log(levels)) for bit, column in zip(wanted, bits.T, strict=True)]
    half = np.exp(np.interp(np.arange(BINS // 2), nodes, found))
    return np.concatenate([half, half[::-1]])


@functools.cache
def balanced_noise() -> Array:
    """More where orientations are frequent, so that frequency times bits is the same for all."""
    return noise_for(peaked(), peaked().min() / peaked())


@functools.cache
def reliable_noise() -> Array:
    """More at 0 deg, with all alike in frequency, so that an image there tells a third of one at 90."""
    return noise_for(np.full(BINS, 1 / BINS), peaked() / peaked().max())
