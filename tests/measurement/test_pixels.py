"""Ends of the pixels' Fisher matrix against a dense eigenproblem with the explicit Jacobian."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from torch import Tensor, nn

import psychophys
from psychophys.comparison.people_pixels import (
    GABOR_CPD,
    GABOR_SD_DEG,
    GABOR_THRESHOLD,
    LUMINANCE,
    PeopleInformation,
)
from psychophys.comparison.references import contrast_sensitivity
from psychophys.measurement.pixels.ends import find_ends, layer_information, subspace
from psychophys.measurement.pixels.information import traces
from psychophys.measurement.pixels.krylov import both_ends
from psychophys.measurement.pixels.plan import PROBES, Pixels, plan_pixels
from psychophys.measurement.pixels.spaces import SPACES
from psychophys.measurement.pixels.unlike import find_unlike
from psychophys.observers.answer import answer
from psychophys.observers.layers import Layer, select_layers
from psychophys.results.distortions import cautions, conclusions, pictures
from psychophys.stimuli.pictures import find_picture, shown_picture
from psychophys.stimuli.transfer import light_from_srgb

SIDE = 8
DTYPES = ("float32", "float64")


def small(seed: int = 0, dtype: str = "float64", units: int = 300) -> psychophys.Observer:
    """Convolution, a smooth nonlinearity and more units than pixels; and a head with fewer."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(6 * SIDE**2, units), nn.Tanh(),
        nn.Linear(units, 20),
    )  # fmt: skip
    return psychophys.Observer(
        network, input_size=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3, dtype=dtype, name=f"small{seed}"
    )


def layer_of(observer: psychophys.Observer, name: str) -> Layer:
    return select_layers(observer, [name]).layers[0]


def jacobian(pixels: Pixels, observer: psychophys.Observer, layer: Layer) -> Tensor:
    """A / sigma in the space, one column a unit vector: (F, n), in float64."""
    wide = observer if observer.dtype == torch.float64 else observer.double()
    picture = shown_picture(pixels.source, wide.input_size)
    n = pixels.space.n_pixels(wide.input_size)

    def respond(vector: Tensor) -> Tensor:
        return answer(wide, layer, picture[None] + pixels.space.changes(vector[None], wide.input_size))[0]

    rows = torch.autograd.functional.jacobian(respond, torch.zeros(n, dtype=torch.float64))
    rms = float(respond(torch.zeros(n, dtype=torch.float64)).detach().square().mean().sqrt())
    assert isinstance(rows, Tensor)
    return rows / pixels.measurement.setting.variance(rms) ** 0.5


def dense(pixels: Pixels, observer: psychophys.Observer, layer: Layer) -> np.ndarray:
    a = jacobian(pixels, observer, layer).numpy()
    return a.T @ a


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", ["4", "5"])
def test_ends_are_those_of_the_dense_matrix(dtype: str, space: str, name: str) -> None:
    observer = small(dtype=dtype)
    layer = layer_of(observer, name)
    pixels = plan_pixels("astronaut", space=space, count=3, steps=400)
    values, columns = np.linalg.eigh(dense(pixels, observer, layer))
    found = find_ends(pixels, observer, layer, lambda _: None)
    most = [change for change in found.changes if change.end == "most"]
    for place, change in enumerate(most, start=1):
        assert change.eigenvalue == pytest.approx(values[-place], rel=1e-4)
        assert change.status == "ok"
        wanted = columns[:, -place]
        got = pixels.space.vectors(change.pixels[None].double())[0].numpy()
        assert abs(wanted @ got) == pytest.approx(1, abs=1e-4)
    least = [change for change in found.changes if change.end == "least"]
    for place, change in enumerate(least):
        assert change.eigenvalue == pytest.approx(max(values[place], 0), abs=1e-4 * values[-1])
        if layer.n_features < len(values):
            assert (change.eigenvalue, change.status) == (0, "insensitive")
    assert found.traces.first == pytest.approx(values.sum(), rel=1e-4)
    assert found.traces.second == pytest.approx((values**2).sum(), rel=1e-4)
    assert found.traces.error == 0


def test_smallest_eigenvalues_are_right_to_a_part_of_themselves() -> None:
    observer = small(units=600)
    layer, pixels = layer_of(observer, "4"), plan_pixels("astronaut", count=2, steps=400)
    values = np.linalg.eigvalsh(dense(pixels, observer, layer))
    found = find_ends(pixels, observer, layer, lambda _: None)
    least = [change.eigenvalue for change in found.changes if change.end == "least"]
    np.testing.assert_allclose(least, values[:2], rtol=1e-4)
    assert values[0] > 1e-8 * values[-1]


@pytest.mark.parametrize("space", SPACES)
def test_products_are_those_of_a_symmetric_positive_matrix(space: str) -> None:
    observer = small()
    pixels = plan_pixels("astronaut", space=space, count=2)
    layer = layer_of(observer, "5")
    matrix, _ = layer_information(pixels, observer, layer)
    assert matrix is not None
    explicit = torch.from_numpy(dense(pixels, observer, layer))
    drawn = torch.randn(5, matrix.n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    products = matrix.apply(drawn)
    torch.testing.assert_close(products, drawn @ explicit, rtol=1e-8, atol=1e-10)
    inner = drawn @ products.T
    torch.testing.assert_close(inner, inner.T)
    torch.testing.assert_close(matrix.energy(drawn), inner.diagonal())
    assert (matrix.energy(drawn) > 0).all()


def test_a_linear_layer_in_closed_form() -> None:
    """Three orthogonal rows of known lengths: their squares over sigma^2 are the eigenvalues."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 3, bias=False))
    rows = torch.linalg.qr(torch.randn(3 * SIDE**2, 3, generator=torch.Generator().manual_seed(2)))[0].T
    network[1].weight.data = torch.tensor([[3.0], [2.0], [1.0]]) * rows
    observer = psychophys.Observer(network, input_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, dtype="float64")
    found = psychophys.distort(
        "camera", observer, layers="1", count=4, noise="gaussian", noise_level=0.5, dprime=2.0
    ).to_pandas()
    most = found[found["end"] == "most"]
    wanted = np.array([9.0, 4.0, 1.0]) / 0.5**2 / 0.5**2
    np.testing.assert_allclose(most["eigenvalue"][:3], wanted, rtol=1e-6)
    np.testing.assert_allclose(most["threshold"][:3], 2 / np.sqrt(wanted * 3 * SIDE**2), rtol=1e-6)
    np.testing.assert_allclose(most["share"][:3], np.cumsum(wanted) / wanted.sum(), rtol=1e-6)
    change = np.stack(most["change"][:3]) / np.sqrt(3 * SIDE**2)
    np.testing.assert_allclose(np.abs(change @ rows.numpy().T), np.eye(3), atol=1e-5)
    least = found[found["end"] == "least"]
    assert (least["status"] == "insensitive").all()
    assert np.isinf(least["threshold"]).all()
    assert (found["null_dimension"] == 3 * SIDE**2 - 3).all()
    assert found["effective_dimension"][0] == pytest.approx(wanted.sum() ** 2 / (wanted**2).sum())


def test_what_is_stopped_early_is_marked_and_bounds_the_truth() -> None:
    observer = small(units=600)
    layer = layer_of(observer, "4")
    values = np.linalg.eigvalsh(dense(plan_pixels("astronaut"), observer, layer))
    before = np.inf
    for steps in (6, 20, 60):
        pixels = plan_pixels("astronaut", steps=steps)
        most, least = find_ends(pixels, observer, layer, lambda _: None).changes
        assert least.status == "not_converged"
        assert most.eigenvalue <= values[-1] * (1 + 1e-9)
        assert values[0] * (1 - 1e-9) <= least.eigenvalue <= before
        before = least.eigenvalue
        matrix, _ = layer_information(pixels, observer, layer)
        assert matrix is not None
        for change in (most, least):
            vector = pixels.space.vectors(change.pixels[None])
            off = (matrix.apply(vector) - change.eigenvalue * vector).norm() / values[-1]
            assert change.residual == pytest.approx(float(off), rel=0.05, abs=1e-6)
        assert (most.status == "ok") == (most.residual * values[-1] <= pixels.tolerance * most.eigenvalue)
    assert most.status == "ok"


def test_eigenvalues_that_are_there_twice_are_found_twice() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 4, bias=False))
    rows = torch.linalg.qr(torch.randn(3 * SIDE**2, 4, generator=torch.Generator().manual_seed(3)))[0].T
    network[1].weight.data = torch.tensor([[2.0], [2.0], [1.0], [1.0]]) * rows
    observer = psychophys.Observer(network, input_size=SIDE, std=(0.5,) * 3, dtype="float64")
    pixels = plan_pixels("camera", count=4, noise="gaussian")
    found = find_ends(pixels, observer, layer_of(observer, "1"), lambda _: None)
    most = [change.eigenvalue for change in found.changes if change.end == "most"]
    np.testing.assert_allclose(most, np.array([4, 4, 1, 1]) / 0.25, rtol=1e-6)


def test_the_trace_is_within_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    observer = small(units=600)
    monkeypatch.setattr("psychophys.measurement.pixels.information.EXACT", 0)
    layer, pixels = layer_of(observer, "4"), plan_pixels("astronaut", steps=20)
    explicit = dense(pixels, observer, layer)
    matrix, _ = layer_information(pixels, observer, layer)
    assert matrix is not None
    space = subspace(pixels, matrix)
    both_ends(space, 1, 1, 0.0, lambda _: None)
    found = traces(matrix, space, 64)
    assert 0 < found.error < 0.05 * np.trace(explicit)
    assert abs(found.first - np.trace(explicit)) < 4 * found.error
    assert found.effective_dimension == pytest.approx(
        np.trace(explicit) ** 2 / np.trace(explicit @ explicit), rel=0.1
    )
    assert PROBES < 64


@pytest.mark.parametrize("dtype", DTYPES)
def test_changes_that_tell_two_apart_are_those_of_the_dense_pencil(dtype: str) -> None:
    observers = small(0, dtype), small(1, dtype)
    layers = layer_of(observers[0], "5"), layer_of(observers[1], "5")
    pixels = plan_pixels("astronaut", count=2, steps=192, tolerance=1e-5)
    matrices = [dense(pixels, *pair) for pair in zip(observers, layers, strict=True)]
    n = len(matrices[0])
    floored = [matrix + np.trace(matrix) / n * np.eye(n) for matrix in matrices]
    values, columns = scipy.linalg.eigh(*floored)
    found = find_unlike(pixels, observers, layers, 1.0, lambda _: None)
    for change in found:
        place = -change.rank if change.end == "more" else change.rank - 1
        assert change.ratio == pytest.approx(values[place], rel=1e-4)
        wanted = columns[:, place] / np.linalg.norm(columns[:, place])
        vector = pixels.space.vectors(change.pixels[None].double())[0].numpy()
        assert abs(wanted @ vector) == pytest.approx(1, abs=1e-4)
        for energy, matrix in zip(change.energies, matrices, strict=True):
            assert energy == pytest.approx(vector @ matrix @ vector, rel=1e-3)
    assert {change.end for change in found} == {"more", "less"}


def test_the_two_ends_change_places_with_the_observers() -> None:
    settings = {"layers": "5", "steps": 192, "tolerance": 1e-6}
    one = psychophys.distort("astronaut", small(0), against=small(1), **settings).to_pandas()
    other = psychophys.distort("astronaut", small(1), against=small(0), **settings).to_pandas()
    np.testing.assert_allclose(one["eigenvalue"], 1 / other["eigenvalue"][::-1], rtol=1e-6)
    np.testing.assert_allclose(one["threshold"], other["threshold_against"][::-1], rtol=1e-3)
    assert list(one["end"]) == ["more", "less"]
    assert one["against"][0] == "small1 (given)"


@pytest.mark.slow
def test_a_network_of_timm_against_its_dense_matrix(tmp_path: Path) -> None:
    observer = psychophys.load_observer("test_resnet", weights="random", dtype="float64")
    tiny = psychophys.Observer(
        observer.unused, input_size=16, mean=observer.mean, std=observer.std, dtype="float64", name="tiny"
    )
    Image.effect_noise((64, 64), 60).convert("RGB").save(tmp_path / "noise.png")
    for name in ("layer2", "fc"):
        layer = layer_of(tiny, name)
        pixels = plan_pixels(tmp_path / "noise.png", space="luminance", count=2, steps=256)
        values = np.linalg.eigvalsh(dense(pixels, tiny, layer))
        found = find_ends(pixels, tiny, layer, lambda _: None)
        most = [change.eigenvalue for change in found.changes if change.end == "most"]
        np.testing.assert_allclose(most, values[:-3:-1], rtol=1e-4)
        least = [change.eigenvalue for change in found.changes if change.end == "least"]
        np.testing.assert_allclose(least, np.maximum(values[:2], 0), atol=1e-4 * values[-1])


LIGHT = ((0.5 + 0.055) / 1.055) ** 2.4
"""Of the grey of pixel value 0.5."""
SLOPE = 2.4 / 1.055 * ((0.5 + 0.055) / 1.055) ** 1.4
"""Of light by pixel value there."""


def test_people_in_closed_form() -> None:
    size, pixels_per_degree = (16, 16), 20.0
    photograph = torch.full((3, *size), 0.5, dtype=torch.float64)
    people = PeopleInformation(photograph, pixels_per_degree)
    y, x = (part.double() for part in torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij"))
    for cycles in ((0, 3), (3, 0), (2, 2)):
        wave = torch.cos(2 * torch.pi * (cycles[0] * y + cycles[1] * x) / 16)
        change = torch.stack([wave] * 3)
        change = change / change.norm()
        contrast = float((change[0] * SLOPE / LIGHT).square().sum()) ** 0.5 / pixels_per_degree
        frequency = np.hypot(*cycles) / 16 * pixels_per_degree
        orientation = 45.0 if cycles == (2, 2) else 0.0
        filtered = float(contrast_sensitivity(np.array([frequency]), orientation)[0]) * contrast
        at_threshold = GABOR_THRESHOLD * contrast_sensitivity(np.array([GABOR_CPD]))[0]
        scale = at_threshold * (np.pi * GABOR_SD_DEG**2 / 2) ** 0.5
        assert float(people.energy(change[None])[0]) == pytest.approx((filtered / scale) ** 2, rel=1e-9)
    best, eigenvalue, residual = people.most_visible()
    assert eigenvalue == pytest.approx(float(people.energy(best[None])[0]))
    assert residual < 1e-6
    drawn = torch.randn(50, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = drawn / drawn.flatten(1).norm(dim=1)[:, None, None, None]
    assert eigenvalue > float(people.energy(drawn).max())
    highest = float(people.gain.max()) ** 2 * float(people.slopes[:, 0, 0].square().sum())
    assert eigenvalue == pytest.approx(highest)  # A grating, as all pixels are alike.
    unseen = torch.tensor([LUMINANCE[1], -LUMINANCE[0], 0.0])[:, None, None] * best[:1]
    assert float(people.energy(unseen[None].double())[0]) == pytest.approx(0, abs=1e-12)


def test_among_grey_changes_people_see_a_grey_one_most() -> None:
    """Less than the coloured one that they see most of all."""
    people = PeopleInformation(torch.full((3, 16, 16), 0.5), 32.0)
    (grey, least, _), (_, most, _) = (people.most_visible(SPACES[name]) for name in ("luminance", "rgb"))
    assert grey[0].numpy() == pytest.approx(grey[1].numpy())
    assert grey[0].numpy() == pytest.approx(grey[2].numpy())
    assert float(grey.norm()) == pytest.approx(1)
    assert least / most == pytest.approx(1 / 3 / float(torch.tensor(LUMINANCE).square().sum()))


def test_people_see_light_and_not_pixel_values() -> None:
    """Against float64 differences of the light of a photograph, through the filter."""
    generator = torch.Generator().manual_seed(1)
    photograph, change = (torch.rand(3, 16, 16, dtype=torch.float64, generator=generator) for _ in range(2))
    people = PeopleInformation(photograph, 32.0)
    weights = torch.tensor(LUMINANCE, dtype=torch.float64)[:, None, None]
    light = [(weights * light_from_srgb(photograph + step * change)).sum(dim=0) for step in (-1e-6, 1e-6)]
    slope = (light[1] - light[0]) / 2e-6 / (weights * light_from_srgb(photograph)).sum(dim=0).mean()
    through = torch.fft.fft2(slope, norm="ortho") * people.gain
    energy = float(through.abs().square().sum())
    assert float(people.energy(change[None])[0]) == pytest.approx(energy, rel=1e-6)
    dense = torch.autograd.functional.hessian(lambda x: people.energy(x[None])[0] / 2, change)
    dense = dense.reshape(768, 768)
    _, eigenvalue, residual = people.most_visible()
    assert eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(dense)[-1]), rel=1e-9)
    assert residual < 1e-6


def test_people_see_the_gabor_of_modelfest_at_its_threshold() -> None:
    side, pixels_per_degree = 256, 60.0
    y, x = ((part.double() - side / 2) / pixels_per_degree for part in torch.meshgrid(
        torch.arange(side), torch.arange(side), indexing="ij"))  # fmt: skip
    envelope = torch.exp(-(x**2 + y**2) / (2 * GABOR_SD_DEG**2))
    gabor = torch.cos(2 * torch.pi * GABOR_CPD * x) * envelope
    people = PeopleInformation(torch.full((3, side, side), 0.5), pixels_per_degree)
    change = torch.stack([LIGHT / SLOPE * GABOR_THRESHOLD * gabor] * 3)[None]
    assert float(people.energy(change)[0]) ** 0.5 == pytest.approx(1, rel=0.03)


def test_a_row_has_its_pictures_and_its_threshold(tmp_path: Path) -> None:
    observer = small()
    found = psychophys.distort("astronaut", observer, layers=["4", "5"], steps=40, pixels_per_degree=4.0)
    found.write(tmp_path / "d.parquet")
    read = psychophys.Distortions.read(tmp_path / "d.parquet")
    assert read.to_pandas()["layer"].tolist() == ["4", "4", "5", "5", "contrast sensitivity"]
    matrix, _ = layer_information(plan_pixels("astronaut"), observer, layer_of(observer, "4"))
    assert matrix is not None
    for shown in pictures(read):
        assert np.sqrt(np.mean(shown.change**2)) == pytest.approx(1, rel=1e-6)
        np.testing.assert_allclose(
            shown.photograph, shown_picture(find_picture("astronaut"), (SIDE, SIDE)).permute(1, 2, 0)
        )
        if shown.row["layer"] == "4":
            step = torch.from_numpy(shown.row["threshold"] * shown.change).permute(2, 0, 1).reshape(1, -1)
            assert float(matrix.energy(step)[0]) ** 0.5 == pytest.approx(1, rel=1e-4)
    people = read.to_pandas().iloc[-1]
    assert people["threshold"] == pytest.approx(people["threshold_human"], rel=1e-5)
    assert people["threshold_human"] <= read.to_pandas()["threshold_human"].min()
    (record,) = read.runs.values()
    assert record["pixels"]["pixels_per_degree"] == 4.0
    assert "small0" in conclusions(read)[0]
    assert any("not converged, least visible" in line for line in cautions(read))


def test_layers_that_cannot_be_measured_are_refused_in_the_usual_words() -> None:
    class Steps(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.floor(8 * x)

    network = nn.Sequential(nn.Conv2d(3, 4, 3), Steps(), nn.Flatten())
    observer = psychophys.Observer(network, input_size=SIDE)
    found = psychophys.distort("astronaut", observer, layers=["0", "1"], steps=10)
    assert set(found.to_pandas()["layer"]) == {"0"}
    (record,) = found.runs.values()
    assert "no exact derivative" in record["skipped_layers"]["1"]
    for rms in (-1.0, float("nan"), 2.0):
        with pytest.raises(psychophys.UsageError, match="Give a number over 0, up to 1"):
            psychophys.plot_distortions(found, rms=rms)
    with pytest.raises(psychophys.MeasurementError, match="can be measured: 1 has no exact derivative"):
        psychophys.distort("astronaut", observer, layers="1", steps=10)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": "poisson"}, "Use relative or gaussian noise"),
        ({"noise": "input"}, "Use relative or gaussian noise"),
        ({"steps": 0}, "Give 1 to 2,000"),
        ({"count": 60}, "Give 1 to half of --steps"),
        ({"tolerance": 0.0}, "between 0 and 1"),
        ({"space": "grey"}, "Known: rgb, luminance"),
        ({"start_seed": -1}, "whole number"),
        ({"count": 1.5}, "count '1.5' is no whole number"),
        ({"steps": "9"}, "steps '9' is no whole number"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(psychophys.UsageError, match=words):
        plan_pixels("astronaut", **settings)  # type: ignore[arg-type]


def test_a_photograph_that_is_not_there_is_refused() -> None:
    with pytest.raises(psychophys.UsageError, match="Did you mean astronaut"):
        plan_pixels("astronut")


def test_weights_alone_are_of_the_same_model_and_it_is_not_set_against_itself() -> None:
    asked: dict[str, Any] = {"layers": "fc", "steps": 3}
    found = psychophys.distort(
        "camera", "test_resnet", weights="random", seed=1, against_weights="random", **asked
    ).to_pandas()
    assert set(found["end"]) == {"more", "less"}
    assert set(found["against"]) == {"test_resnet (random)"}
    observer = psychophys.load_observer("test_resnet", weights="random")
    for against, weights in ((observer, None), (None, "random"), (3, None)):
        with pytest.raises(psychophys.UsageError, match="against"):
            psychophys.distort("camera", observer, against=against, against_weights=weights, **asked)


def test_a_black_photograph_has_no_contrast_for_people() -> None:
    black = torch.zeros(3, 16, 16)
    with pytest.raises(psychophys.UsageError, match="mean luminance is 0 of white"):
        PeopleInformation(black, 100.0)
    dark, light = (PeopleInformation(black + value, 100.0).slopes[1, 0, 0] for value in (0.02, 0.04))
    # Both are in the linear part of the curve: half the light, twice the contrast of a step.
    assert float(dark) == pytest.approx(2 * float(light))
