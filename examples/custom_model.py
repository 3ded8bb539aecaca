"""A network of one's own, measured from Python and, registered with timm, by the command line.

python examples/custom_model.py
psychophys sweep own_net --weights random --import examples/custom_model.py -o own
"""

import torch
from timm.models import register_model
from torch import Tensor, nn

import psychophys


class OwnNet(nn.Module):
    """Two convolutions and a read-out; every module's output is a layer to measure."""

    def __init__(self, width: int = 16, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=4)
        self.conv2 = nn.Conv2d(width, 2 * width, 5, stride=2)
        self.head = nn.Linear(2 * width, num_classes)
        # What timm says of a network's input; the command line reads it.
        self.pretrained_cfg = {"input_size": (3, 128, 128), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x).relu()).relu()
        return self.head(x.mean(dim=(2, 3)))


@register_model
def own_net(pretrained: bool = False, num_classes: int = 10, **_: object) -> OwnNet:
    """For `--import`: timm finds the network under this name."""
    return OwnNet(num_classes=num_classes)


if __name__ == "__main__":
    torch.manual_seed(0)
    observer = psychophys.Observer(
        OwnNet(), input_size=(128, 128), mean=(0.5,) * 3, std=(0.5,) * 3, name="OwnNet"
    )
    table = psychophys.measure(observer, values=12, parameters={"phase": 4})
    print(psychophys.summarize(table)[["layer", "mean_threshold", "cardinal_oblique_ratio"]])
