"""Learning on a GPU that is emulated: forward, backward and the optimiser give the CPU's numbers."""

from typing import Any

import emulated
import pytest

import psychophys
from psychophys.learning.experiments import EXPERIMENTS
from psychophys.observers import viewer

TINY: dict[str, dict[str, Any]] = {
    "linear": {"depths": ("2",), "patch": 8, "steps": 20},
    "supervised": {"conditions": ("frequency",), "batch": 64, "steps": 10},
    "autoencoder": {"conditions": ("upright",), "batch": 4, "steps": 20},
    "planted": {"conditions": ("tilted",), "batch": 4, "steps": 20},
    "hue": {"conditions": ("upright",), "batch": 16, "steps": 20},
    "classifier": {"conditions": ("upright",), "batch": 4, "steps": 40},
    "rearing": {"conditions": ("even",), "batch": 64, "steps": 10},
}
FAST = ("linear", "supervised")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in EXPERIMENTS.own]
)
def test_every_experiment_learns_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"runs": 1, "snapshots": 2, **TINY[name]}
    # Weights in a CPU's own order give other roundings than a GPU's.
    monkeypatch.setattr(viewer, "with_channels_last", lambda model, _image: model)
    here = psychophys.learn(name, device="cpu", **settings).thresholds
    with emulated.gpu(monkeypatch):
        there = psychophys.learn(name, device="cuda", **settings).thresholds
    assert {one["device"] for one in there.runs.values()} == {"cuda (emulated)"}
    assert len(set(here.table["step"].to_pylist())) > 1
    assert here.to_pandas().equals(there.to_pandas())
