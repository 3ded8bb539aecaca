"""One small model of every family of design, each layer against float64 central differences.

The benchmark that does this for every architecture file of timm (``benchmarks/coverage.py``) is used here,
on fewer models.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import timm


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("family", "model", "estimator"),
    [
        ("CNN", "mobilenetv3_small_050", "jvp"),
        ("CNN without normalization", "test_nfnet", "jvp"),
        ("ViT", "test_vit4", "jvp"),
        ("ViT with relative positions", "test_vit_relpos", "jvp"),
        ("hybrid", "test_coatnet", "jvp"),
        ("windowed attention", "test_maxvit", "jvp"),
        ("cross-covariance attention", "xcit_nano_12_p16_224", "jvp"),
        ("MLP", "gmlp_ti16_224", "jvp"),
        ("gated convolution after state-space models", "test_mambaout", "jvp"),
        ("LSTM", "sequencer2d_s", "central"),
    ],
)
def test_every_family_is_measured_as_exactly_as_float32_can(
    benchmark: ModuleType, family: str, model: str, estimator: str
) -> None:
    row = benchmark.cover(model)
    assert row["status"] == "ok"
    assert row["estimator"] == estimator
    assert row["layers"] >= 5
    # Central differences in float32 take a larger step.
    assert row["error"] < (5e-3 if estimator == "jvp" else 5e-2), row["worst_layer"]


def test_the_smallest_model_of_a_file_is_found(benchmark: ModuleType) -> None:
    assert benchmark.smallest("sequencer")[0] == "sequencer2d_s"
    assert benchmark.smallest("resnet")[0] == "test_resnet"


def test_the_table_covers_every_architecture_file_of_its_timm() -> None:
    import pandas as pd

    table = pd.read_csv(Path(__file__).parents[1] / "benchmarks" / "coverage.csv")
    assert table["status"].str.startswith("ok").all()
    if timm.__version__.startswith("1.0.31"):
        assert set(table["file"]) == set(timm.models.list_modules())
