"""Small networks that do not keep the contract, each in its own way; for ``--import``."""

import torch
from timm.models import register_model
from torch import Tensor, nn


class Mine(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first, self.second, self.kind = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), kind
        self.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).tanh()
        if self.kind == "random":
            y = y + 0.1 * torch.randn_like(y)
        if self.kind == "cut":
            y = y.detach()
        if self.kind == "stairs":
            y = torch.round(4 * y) / 4
        return torch.as_tensor(self.second(y))


@register_model
def mine_random(pretrained: bool = False, **_: object) -> nn.Module:
    return Mine("random")


@register_model
def mine_cut(pretrained: bool = False, **_: object) -> nn.Module:
    return Mine("cut")


@register_model
def mine_stairs(pretrained: bool = False, **_: object) -> nn.Module:
    return Mine("stairs")
