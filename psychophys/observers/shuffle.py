"""Weights in another order: the untuned control of Benjamin et al. 2022."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def shuffle_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy with permuted weights.

    Output channels of convolutions are permuted independently at each kernel position, rows and
    columns of matrices are permuted, and vectors are permuted. Buffers stay.
    """
    shuffled = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)

    def order(count: int) -> Tensor:
        return torch.randperm(count, generator=generator)

    for parameter in shuffled.parameters():
        weight = parameter.data
        while weight.ndim > 1 and weight.shape[0] == 1:
            weight = weight.squeeze(0)  # class tokens, position embeddings
        if weight.ndim > 2:
            positions = weight.reshape(*weight.shape[:2], -1)
            parts = [positions[order(weight.shape[0]), :, k] for k in range(positions.shape[2])]
            weight = torch.stack(parts, dim=2)
        elif weight.ndim == 2:
            weight = weight[order(weight.shape[0])][:, order(weight.shape[1])]
        elif weight.ndim == 1:
            weight = weight[order(weight.shape[0])]
        parameter.data = weight.reshape(parameter.shape)
    return shuffled
