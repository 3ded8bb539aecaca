"""Where the time of a pass goes, plain and with derivatives: by kind of operation.

    python benchmarks/operations.py [--models NAME ...] [-o operations.csv]

Eight images of each network's size, on the CPU, in one batch; PyTorch's profiler counts the own time of each
operation. ``plain`` is the network as it is measured (weights laid out alike), ``jvp`` the same pass with the
derivative along one direction. Numbers are milliseconds per image, of the quickest of some passes in turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from psychophys import load_observer
from psychophys.observers.fast_rules import FastRules
from psychophys.observers.memory import keep_freed_memory
from psychophys.observers.names import DEFAULT_MODEL

MODELS = (DEFAULT_MODEL, "resnet18", "vgg16_bn", "vit_small_patch16_224", "swin_tiny_patch4_window7_224")
MORE = ("convnext_tiny", "coatnet_nano_rw_224", "mixer_s32_224")
KINDS = {
    "convolution": ("conv",),
    "product": ("mm", "linear", "matmul", "dot_product", "flash"),
    "norm": ("norm",),
    "activation": ("relu", "gelu", "silu", "hardtanh", "clamp", "sigmoid", "tanh", "erf", "softmax", "exp"),
    "layout": ("copy", "contiguous", "cat", "clone", "fill", "zero", "empty", "as_strided", "roll"),
}
IMAGES = 8


def kind_of(operation: str) -> str:
    return next((kind for kind, words in KINDS.items() if any(w in operation for w in words)), "arithmetic")


def by_kind(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds an image of one pass, by kind."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    found = dict.fromkeys([*KINDS, "arithmetic"], 0.0)
    for event in seen.key_averages():
        found[kind_of(event.key)] += event.self_cpu_time_total / 1e3 / IMAGES
    return found


def quickest(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Of each work's passes, which are made in turns, the one that took least."""
    best: dict[str, dict[str, float]] = {}
    for count in range(repeats + 1):
        for name, work in works.items():
            found = by_kind(work)
            if count and (name not in best or sum(found.values()) < sum(best[name].values())):
                best[name] = found
    return best


def of_model(model: str, repeats: int) -> list[dict[str, object]]:
    observer = load_observer(model, weights="pretrained" if model == DEFAULT_MODEL else "random")
    images = observer.preprocess(torch.rand(IMAGES, 3, *observer.input_size))
    tangent = torch.randn_like(images)

    def plain() -> None:
        observer.model(images)

    def exact() -> None:
        with FastRules(reuse=True), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            observer.model(forward_ad.make_dual(images, tangent))

    with torch.no_grad():
        found = quickest({"plain": plain, "jvp": exact}, repeats)
    rows = []
    for kind in found["plain"]:
        one, two = found["plain"][kind], found["jvp"][kind]
        rows.append({"model": model, "kind": kind, "plain_ms": round(one, 2), "jvp_ms": round(two, 2)})
    total = [sum(numbers.values()) for numbers in found.values()]
    rows.append({"model": model, "kind": "all", "plain_ms": round(total[0], 2), "jvp_ms": round(total[1], 2)})
    for row in rows:
        row["share_of_jvp"] = round(float(str(row["jvp_ms"])) / total[1], 3)
        row["ratio"] = round(float(str(row["jvp_ms"])) / max(float(str(row["plain_ms"])), 1e-9), 2)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[*MODELS, *MORE])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    keep_freed_memory()
    table = pd.DataFrame(row for model in arguments.models for row in of_model(model, arguments.repeats))
    print(table.to_string(index=False))
    if arguments.output:
        table.to_csv(arguments.output, index=False)


if __name__ == "__main__":
    main()
