"""Train a network of timm's on photographs that are turned, or whose hues are turned.

The control of Benjamin et al. (2022) at full size: what a network tells apart comes from its images and from
its architecture, and only the one turns with the photographs. They lie in a folder for each class.

python examples/train_turned.py imagenet/train upright --network resnet18
torchrun --nproc-per-node 8 examples/train_turned.py imagenet/train turned --network resnet18 --turn-deg 45
psychophys measure local-dir:upright local-dir:turned -o turned.parquet

The photographs of both are cut by the same disc and are equally sharp. A seed decides the initial weights,
the crops and their order, which are the same for every angle. After each epoch all is written: begun again
with the same options, a training goes on where it was, to the same weights.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.transforms import RandomResizedCropAndInterpolation
from timm.models import save_for_hf
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, PILToTensor, RandomHorizontalFlip, Resize
from torchvision.transforms.v2 import functional as pictures

from psychophys.base.files import write_atomically
from psychophys.learning.crops import cuts
from psychophys.observers import classics  # noqa: F401 - AlexNet and others join timm's networks

STATE, LOG, SETTINGS = "state.pt", "log.csv", "settings.json"
FREE = ("images", "output", "device", "keep_every")
"""Options that do not decide the weights: of the photographs, their names in the folder do."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("images", type=Path, help="a folder with a folder for each class")
    add("output", type=Path, help="directory of this training; made, or gone on with")
    add("--network", default="resnet18", help="an architecture of timm's (default: resnet18)")
    add("--turn-deg", type=float, default=0, help="photographs are turned by, counter-clockwise (default: 0)")
    add("--hue-deg", type=float, default=0, help="their hues are turned by (default: 0)")
    add("--side", type=int, default=224, help="of the images in pixels (default: 224)")
    add("--least-area", type=float, default=0.08, help="share of a photograph in a crop (default: 0.08 to 1)")
    add("--epochs", type=int, default=90)
    add("--batch-size", type=int, default=256, help="of all processes together (default: 256)")
    add("--learning-rate", type=float, default=0.1, help="the highest, of SGD in one cycle (default: 0.1)")
    add("--weight-decay", type=float, default=1e-4)
    add("--held-out", type=float, default=0.02, help="share of the photographs for testing (default: 0.02)")
    add("--seed", type=int, default=0)
    add("--keep-every", type=int, default=10, help="epochs whose weights are kept (default: 10)")
    add("--workers", type=int, default=4, help="processes that read photographs, each (default: 4)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def prepared(given: argparse.Namespace, network: nn.Module) -> Callable[[Tensor], Tensor]:
    """What is done to a batch of twice the side: hue, turn, disc and normalisation."""
    config = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(config[name], device=given.device)[:, None, None] for name in ("mean", "std"))
    window = cuts.window_of(given.side).to(given.device)
    hue = (given.hue_deg / 360 + 0.5) % 1 - 0.5

    def prepare(batch: Tensor) -> Tensor:
        images = batch.to(given.device, non_blocking=True).float() / 255
        if hue:
            images = pictures.adjust_hue(images, hue)
        blurred = pictures.gaussian_blur(images, 9, cuts.BLUR)
        return window * (cuts.turned(blurred, given.turn_deg) - mean) / std

    return prepare


def photographs(given: argparse.Namespace) -> tuple[Subset[Any], Subset[Any]]:
    """To train on and to test on."""
    wide = cuts.SPACING * given.side
    drawn = RandomResizedCropAndInterpolation(wide, (given.least_area, 1), (1, 1), interpolation="bicubic")
    fixed = [Resize(wide), CenterCrop(wide)]
    try:
        training = ImageFolder(given.images, Compose([drawn, RandomHorizontalFlip(), PILToTensor()]))
        testing = ImageFolder(given.images, Compose([*fixed, PILToTensor()]))
    except OSError as error:
        wanted = "Give a folder with a folder for each class."
        raise SystemExit(f"error: {given.images} cannot be read: {error}. {wanted}") from None
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(given.seed)).tolist()
    count = round(given.held_out * len(order))
    return Subset(training, order[count:]), Subset(testing, order[:count])


def main() -> None:
    given = options()
    if "RANK" in os.environ:  # torchrun
        dist.init_process_group("nccl" if given.device == "cuda" else "gloo")
        if given.device == "cuda":
            given.device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(given.device)
    if not timm.is_model(given.network):
        raise SystemExit(f"error: timm has no network {given.network}: see `psychophys models`")
    training, testing = photographs(given)
    classes = training.dataset.classes
    _check(given, training)
    torch.manual_seed(given.seed)
    network = timm.create_model(given.network, num_classes=len(classes)).to(given.device)
    network.pretrained_cfg = {**network.pretrained_cfg, "input_size": (3, given.side, given.side)}
    train(given, network, training, testing)
    if _rank() == 0:
        labels = {"label_names": classes}
        save_for_hf(network, given.output, model_config=labels, safe_serialization=True)
        print(f"psychophys measure local-dir:{given.output}")
    if dist.is_initialized():
        dist.destroy_process_group()


def train(
    given: argparse.Namespace, network: nn.Module, training: Dataset[Any], testing: Dataset[Any]
) -> None:
    """Every epoch that is not yet done; the network ends up with the last weights."""
    processes = _processes()
    sampler = DistributedSampler(training, processes, _rank(), seed=given.seed, drop_last=True)
    shared: dict[str, Any] = {
        "batch_size": given.batch_size // processes,
        "num_workers": given.workers,
        "pin_memory": given.device != "cpu",
    }
    loader = DataLoader(training, sampler=sampler, drop_last=True, **shared)
    tests = DataLoader(testing, **shared)
    prepare = prepared(given, network)
    model = DistributedDataParallel(network) if processes > 1 else network
    optimiser = torch.optim.SGD(
        network.parameters(), given.learning_rate, 0.9, weight_decay=given.weight_decay, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, given.learning_rate, max(given.epochs * len(loader), 2), pct_start=0.1
    )
    parts = {"network": network, "optimiser": optimiser, "schedule": schedule}
    first = _resumed(given.output / STATE, parts)
    if first == 0:
        _keep(given, network, 0)
    for epoch in range(first, given.epochs):
        # All that is drawn in an epoch hangs on its number, so that it is the same when begun again.
        # Processes draw crops of their own.
        seed = (given.seed * 1_000_003 + epoch) * processes + _rank()
        torch.manual_seed(seed)
        random.seed(seed)
        sampler.set_epoch(epoch)
        started = time.perf_counter()
        loss = _epoch(model.train(), optimiser, schedule, _images(loader, prepare))
        right = _correct(network.eval(), _images(tests, prepare))
        if _rank() == 0:
            if (epoch + 1) % given.keep_every == 0 or epoch + 1 == given.epochs:
                _keep(given, network, epoch + 1)
            state = {"epoch": epoch + 1, **{name: part.state_dict() for name, part in parts.items()}}
            write_atomically(given.output / STATE, partial(torch.save, state))
            _log(given, epoch + 1, loss, right, time.perf_counter() - started)


def _images(loader: Iterable[Any], prepare: Callable[[Tensor], Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for batch, labels in loader:
        images = prepare(batch)
        yield images, labels.to(images.device)


def _epoch(
    model: nn.Module, optimiser: Any, schedule: Any, batches: Iterator[tuple[Tensor, Tensor]]
) -> float:
    total, count = 0.0, 0
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            loss = cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total, count = total + loss.detach() * len(labels), count + len(labels)
    return float(total) / max(count, 1)


@torch.inference_mode()
def _correct(network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    right = [network(images).argmax(dim=1) == labels for images, labels in batches]
    return float(torch.cat(right).float().mean()) if right else float("nan")


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _check(given: argparse.Namespace, training: Subset[Any]) -> None:
    """Refuse too few photographs, and to go on with other settings; write those of a new training."""
    processes, count = _processes(), len(training)
    if not processes <= given.batch_size <= count:
        raise SystemExit(
            f"error: a batch of {given.batch_size}, with {count} photographs to train on and {processes} "
            f"processes. Give --batch-size {processes} to {count}, or more photographs."
        )
    files = (Path(path).relative_to(given.images) for path, _ in training.dataset.samples)
    names = "\n".join(file.as_posix() for file in files)
    wanted = {name: value for name, value in vars(given).items() if name not in FREE}
    wanted |= {"processes": processes, "photographs": hashlib.sha256(names.encode()).hexdigest()[:16]}
    path = given.output / SETTINGS
    if path.exists():
        found = json.loads(path.read_text())
        if other := {name: found.get(name) for name in wanted if found.get(name) != wanted[name]}:
            raise SystemExit(f"error: {given.output} is a training with {other}. Give another directory.")
    elif _rank() == 0:
        given.output.mkdir(parents=True, exist_ok=True)
        # Whole, as the other processes may be about to read it.
        write_atomically(path, lambda stream: stream.write(json.dumps(wanted, indent=1).encode()))


def _resumed(path: Path, parts: dict[str, Any]) -> int:
    """Put everything back as it was after the last whole epoch, and say how many there were."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])


def _keep(given: argparse.Namespace, network: nn.Module, epoch: int) -> None:
    if _rank() == 0:
        state = {"state_dict": {name: value.cpu() for name, value in network.state_dict().items()}}
        write_atomically(given.output / f"epoch-{epoch:04}.pth", partial(torch.save, state))


def _log(given: argparse.Namespace, epoch: int, loss: float, right: float, seconds: float) -> None:
    row = {"epoch": epoch, "loss": f"{loss:.4f}", "correct": f"{right:.4f}", "seconds": f"{seconds:.1f}"}
    new = not (given.output / LOG).exists()
    with (given.output / LOG).open("a", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writerows([dict(zip(row, row, strict=True))] if new else [])
        writer.writerow(row)
    print(*(f"{name} {value}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
