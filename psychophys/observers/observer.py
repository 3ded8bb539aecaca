"""Observers: what is measured."""

from __future__ import annotations

from collections.abc import Sequence

from psychophys.observers.contract import Contract, examine_all
from psychophys.observers.viewer import Viewer


class Observer(Viewer):
    """A model that can be shown images in [0, 1].

    Parameters
    ----------
    model
        Any module that takes images of shape (N, 3, H, W). What is measured is a copy in evaluation mode,
        in ``dtype`` and on ``device``.
    input_size
        Height and width in pixels; one number for both, or channels, height and width.
    mean, std
        Of each channel, as in training: the model sees ``(image - mean) / std``. One number each for a model
        that takes grey images.
    name, weights, seed
        Written to the results.
    source
        Where the weights are from.
    checkpoint, step
        The file they are from, and how far in training it was written.
    pretrained_cfg
        timm's record of the weights, kept in the results.
    adapted
        In which ways the model was adapted to its weights, in sentences, kept in the results.
    without_weights
        Names of modules without weights of their own: they, and what comes after them, are not measured.
    dtype
        ``float32`` or ``float64``, or those of torch.
    arithmetic
        Of products: ``exact``, or what a GPU does faster (see :mod:`psychophys.observers.arithmetic`).
    noise_seed
        Of the random numbers that the model draws, which are then the same for every image: a stochastic
        model becomes a function. None leaves them alone; layers that they reach cannot be measured.
    copy
        False changes the model itself, and saves the memory of a copy.

    Raises
    ------
    UsageError
        For what is no network with layers and derivatives, or an impossible value.
    ModelError
        If a parameter or a running mean or variance is NaN or infinite, or another buffer NaN; or if the
        model computes something else once it is cast and in evaluation mode.
    """

    @property
    def faultless(self) -> bool:
        """Whether all that was tested of its layers is as it should be."""
        contract: Contract = self.known.get("contract", Contract({}, ""))
        return not any(verdict.faults for verdict in contract.verdicts.values())

    def check(self, layers: str | Sequence[str] = "default") -> Contract:
        """Whether layers can be measured rightly: each answers an image by itself, and has a derivative.

        Every measurement does this for its own layers before it begins. See :class:`Contract`, and print its
        ``conclusions()``.

        Parameters
        ----------
        layers
            ``default``, ``all`` or glob patterns.

        Raises
        ------
        UsageError
            When a pattern matches no module.
        MeasurementError
            Where the network does not run on other numbers of images.

        Examples
        --------
        >>> import torch, psychophys
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.ReLU())
        >>> psychophys.Observer(network, input_size=32).check().kept
        True
        """
        return examine_all(self, [layers] if isinstance(layers, str) else layers)
