"""The example that trains on turned photographs, and what it makes of them."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage import data

import psychophys
from psychophys.learning.crops import cuts

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = [
    "--network",
    "test_resnet",
    "--side",
    "32",
    "--epochs",
    "2",
    "--batch-size",
    "8",
    "--held-out",
    "0.2",
]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of parts of photographs."""
    where = tmp_path_factory.mktemp("turned")
    for name, image in (("cat", data.cat()), ("coffee", data.coffee())):
        (where / "photographs" / name).mkdir(parents=True)
        for part in range(12):
            left = 30 * part % 300
            crop = Image.fromarray(image[part * 10 : part * 10 + 100, left : left + 100])
            crop.save(where / "photographs" / name / f"{part}.png")
    return where


def train(folder: Path, output: str, *more: str, stop_after: int = 99) -> None:
    example = load("train_turned")
    written = example._log

    def log(given: object, epoch: int, *rest: float) -> None:
        written(given, epoch, *rest)
        if epoch == stop_after:
            raise KeyboardInterrupt

    example._log = log
    words = [str(folder / "photographs"), str(folder / output), *SHORT, "--workers", "0", *more]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train_turned.py", *words])
        example.main()


def state(folder: Path, output: str, epoch: int) -> dict[str, torch.Tensor]:
    file = folder / output / f"epoch-{epoch:04}.pth"
    return dict(torch.load(file, weights_only=True)["state_dict"])


@pytest.mark.slow
def test_training_goes_on_where_it_was_to_the_same_weights(folder: Path) -> None:
    train(folder, "whole")
    with pytest.raises(KeyboardInterrupt):
        train(folder, "stopped", stop_after=1)
    assert not (folder / "stopped" / "config.json").exists()
    train(folder, "stopped")
    first, second = state(folder, "whole", 2), state(folder, "stopped", 2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert list(pd.read_csv(folder / "stopped" / "log.csv")["epoch"]) == [1, 2]
    with pytest.raises(SystemExit, match="is a training with"):
        train(folder, "whole", "--turn-deg", "45")


@pytest.mark.slow
def test_turned_training_is_measured_and_compared(folder: Path) -> None:
    train(folder, "upright-0")
    train(folder, "turned-0", "--turn-deg", "45")
    # The seed's initial weights are those of both, and the photographs make the difference.
    before, after = ([state(folder, name, epoch) for name in ("upright-0", "turned-0")] for epoch in (0, 2))
    assert all(torch.equal(before[0][name], before[1][name]) for name in before[0])
    assert not all(torch.equal(after[0][name], after[1][name]) for name in after[0])
    models = [f"local-dir:{folder / name}" for name in ("upright-0", "turned-0")]
    results = psychophys.concat(
        psychophys.measure(
            model, stimulus="grating", dimension="orientation", values=12, layers=["layer*", "fc"],
            parameters={"frequency": 3, "phase": 2, "size": 1.0},
        )
        for model in models
    )  # fmt: skip
    assert {run["input_size"][0] for run in results.runs.values()} == {32}
    example = load("turned_effect")
    table = example.effect(results, psychophys.load_prior("wei-stocker-2015"))
    assert set(table["pairs"]) == {1}
    frame = results.to_pandas()
    curves = [
        frame[(frame["model"] == model) & (frame["layer"] == "fc")]["sensitivity"].to_numpy()
        for model in models
    ]
    value = frame["value"].unique()
    cardinal, oblique = np.isin(value, (0, 90)), np.isin(value, (45, 135))
    ratios = [np.log(curve[cardinal].mean() / curve[oblique].mean()) for curve in curves]
    last = table[table["layer"] == "fc"].iloc[0]
    assert last["difference"] == pytest.approx(ratios[0] - ratios[1], rel=1e-6)
    common = 2 - np.abs(np.sin(2 * np.radians(value)))
    turned = 2 - np.abs(np.sin(2 * np.radians(value - 45)))
    follows = np.corrcoef(np.log(curves[0] / curves[1]), np.log(common / turned))[0, 1]
    assert last["follows"] == pytest.approx(follows, abs=0.02)  # The prior is in bins.
    # That prior repeats after 90 deg: half a round on, it is the same.
    assert last["opposite"] == pytest.approx(last["follows"], abs=1e-6)
    assert example.told(table).startswith("test_resnet, 1 pair:")
    assert "nan" not in example.told(table)  # One pair has no interval.
    example.draw(table, folder / "effect.png")
    assert (folder / "effect.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--batch-size", "64"], "a batch of 64, with 19 photographs to train on"),
        (["--held-out", "1"], "with 0 photographs"),
        (["--network", "resnet99"], "timm has no network resnet99"),
    ],
)
def test_what_cannot_be_trained_is_one_line(folder: Path, words: list[str], match: str) -> None:
    with pytest.raises(SystemExit, match=match):
        train(folder, "refused", *words)
    assert not (folder / "refused").exists()


def test_photographs_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"cannot be read: .*Give a folder with a folder for each class"):
        train(tmp_path, "none")


def test_training_on_other_photographs_is_another_one(folder: Path) -> None:
    train(folder, "few", "--epochs", "0")
    train(folder, "few", "--epochs", "0")
    extra = folder / "photographs" / "cat" / "another.png"
    extra.write_bytes((folder / "photographs" / "cat" / "0.png").read_bytes())
    try:
        with pytest.raises(SystemExit, match="is a training with"):
            train(folder, "few", "--epochs", "0")
    finally:
        extra.unlink()


def curve(model: str, layer: str, stimulus: str = "patch", dimension: str = "hue") -> pd.DataFrame:
    value = np.arange(0, 360, 30.0)
    told = {"model": model, "layer": layer, "stimulus": stimulus, "dimension": dimension}
    return pd.DataFrame({**told, "value": value, "sensitivity": 1 + value / 360})


def test_what_is_not_one_curve_for_each_layer_is_refused() -> None:
    example = load("turned_effect")
    one = curve("a", "fc")
    assert example.measured(pd.concat([one, curve("b", "fc")])) == "hue"
    for frame, match in (
        (curve("a", "fc", "patch-lch"), "over hue of patch-lch"),  # Its hues are not those that are turned.
        (curve("a", "fc", "grating", "frequency"), "over frequency of grating"),
        (pd.concat([one, one]), "not all measured once"),
        (pd.concat([one, curve("b", "fc")[1:]]), "not all measured once"),
    ):
        with pytest.raises(SystemExit, match=match):
            example.measured(frame)


@pytest.mark.slow
def test_two_processes_train_one_network(folder: Path) -> None:
    launch = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    words = [str(EXAMPLES / "train_turned.py"), str(folder / "photographs"), str(folder / "two"), *SHORT]
    done = subprocess.run([*launch, *words, "--workers", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch ") == 2  # One of the two tells.
    assert (folder / "two" / "model.safetensors").exists()


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0])
def test_whole_images_are_turned_as_crops_are(angle: float) -> None:
    """Of a plane wave that is known at every place, up to what interpolation leaves."""
    side, cycles = 32, 5.0
    wide = torch.arange(2 * side) - side + 0.5
    wave = torch.cos(2 * torch.pi * cycles * wide[None, :] / (2 * side)).expand(2 * side, -1)
    found = cuts.turned(wave[None, None], angle)[0, 0]
    along = torch.arange(side) - (side - 1) / 2
    turn = np.radians(angle)
    # Counter-clockwise, with rows that go downwards.
    across = along[None, :] * np.cos(turn) - along[:, None] * np.sin(turn)
    wanted = torch.cos(2 * torch.pi * cycles * across / side)
    inside = cuts.window_of(side) > 0.5
    assert (found - wanted)[inside].abs().max() < 0.03
