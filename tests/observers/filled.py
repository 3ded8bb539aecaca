"""Networks in which a lost tensor is seen."""

from typing import Any

import timm
import torch
from torch import nn


def network(name: str = "test_resnet", seed: int = 1, **options: Any) -> nn.Module:
    """A network in which no parameter or buffer is constant."""
    model: nn.Module = timm.create_model(name, **options).eval()
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point() and tensor.numel() > 1:
            tensor.copy_(0.5 + 0.5 * torch.rand(tensor.shape, generator=generator))
            if tensor.ndim > 1:
                tensor.sub_(0.75).mul_(4 / tensor[0].numel() ** 0.5)
    return model
