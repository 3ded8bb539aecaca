"""One small model of every family of design, each layer against float64 central differences.

The benchmark that does this for every architecture file of timm (``benchmarks/coverage.py``) is used here,
on fewer models.
"""

import importlib.util
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import timm
import torch
from timm.layers import GatedMlp
from timm.models import register_model
from timm.models.mlp_mixer import MlpMixer, SpatialGatingBlock
from timm.models.sequencer import Sequencer2d
from timm.models.xcit import Xcit
from torch import nn

from psychophys import Observer, plan, run


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def shallow_models() -> None:
    """Of families of which timm has no small model: fewer blocks and pixels than the smallest has."""
    size = {"img_size": 96, "patch_size": 16, "embed_dim": 128}

    def shallow_xcit(pretrained: bool = False, **_: Any) -> nn.Module:
        return prepared(Xcit(depth=4, num_heads=4, eta=1.0, tokens_norm=False, **size))

    def shallow_gmlp(pretrained: bool = False, **_: Any) -> nn.Module:
        blocks = {"block_layer": SpatialGatingBlock, "mlp_layer": GatedMlp, "mlp_ratio": 6}
        return prepared(MlpMixer(num_blocks=8, **blocks, **size))

    def prepared(network: nn.Module) -> nn.Module:
        network.pretrained_cfg = {"input_size": (3, 96, 96), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        return network

    for make in (shallow_xcit, shallow_gmlp):
        register_model(make)


@pytest.mark.parametrize(
    ("family", "model"),
    [
        ("CNN", "mobilenetv3_small_050"),
        ("CNN without normalization", "test_nfnet"),
        ("ViT", "test_vit4"),
        ("ViT with relative positions", "test_vit_relpos"),
        ("hybrid", "test_coatnet"),
        ("windowed attention", "test_maxvit"),
        pytest.param("cross-covariance attention", "shallow_xcit", marks=pytest.mark.slow),
        pytest.param("MLP", "shallow_gmlp", marks=pytest.mark.slow),
        ("gated convolution after state-space models", "test_mambaout"),
    ],
)
def test_every_family_is_measured_as_exactly_as_float32_can(
    benchmark: ModuleType, family: str, model: str
) -> None:
    row = benchmark.cover(model)
    # A layer of positions alone does not depend on the stimulus.
    assert row["status"] in ("ok", "insensitive ok")
    assert row["estimator"] == "jvp"
    assert row["layers"] >= 5
    assert row["error"] < 1e-3, row["worst_layer"]


def test_an_lstm_is_measured_in_float64(benchmark: ModuleType) -> None:
    def observer(dtype: str) -> Observer:
        torch.manual_seed(0)
        network = Sequencer2d(
            num_classes=10,
            img_size=56,
            layers=(1, 1, 1, 1),
            embed_dims=(24, 48, 48, 48),
            hidden_sizes=(6, 12, 12, 12),
        )
        return Observer(network, input_size=(56, 56), name="small sequencer", dtype=dtype)

    results = run(plan(**benchmark.SETTINGS), observer("float32"))
    reference = run(plan(**benchmark.SETTINGS, estimator="central", step=1e-4), observer("float64"))
    # The fused kernel of float32 has no forward mode; that of float64 has one.
    assert set(results.to_pandas()["estimator"]) == {"jvp"}
    assert benchmark.errors(results, reference).max() < 1e-3


def test_the_smallest_model_of_a_file_is_found(benchmark: ModuleType) -> None:
    assert benchmark.smallest("sequencer")[0] == "sequencer2d_s"
    assert benchmark.smallest("mambaout")[0] == "test_mambaout"


def test_the_table_covers_every_architecture_file_of_its_timm() -> None:
    table = pd.read_csv(Path(__file__).parents[2] / "benchmarks" / "coverage.csv")
    assert table["status"].isin(["ok", "insensitive ok"]).all()
    if timm.__version__.startswith("1.0.31"):
        # Other tests register models of their own.
        files = {name for name in timm.models.list_modules() if find_spec(f"timm.models.{name}")}
        assert set(table["file"]) == files
