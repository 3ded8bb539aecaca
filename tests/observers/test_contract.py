"""What a network must keep to be measured: hostile ones are measured rightly, or refused with the reason."""

import copy
import dataclasses
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import timm
import torch
from observers import hostile
from torch import Tensor, nn

import psychophys
from psychophys import MeasurementError, Observer, PsychophysError, UsageError
from psychophys.observers.arithmetic import ARITHMETIC, computing
from psychophys.observers.contract import DIFFERENCES, FORWARD, NONE, _judge, adjoint, examine
from psychophys.observers.evidence import DOUBLE, Differences
from psychophys.observers.layers import MIXES, RANDOM, STATE, select_layers
from psychophys.stimuli import Stimulus, get_stimulus

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VALUES = [17.0, 40.0, 73.0]
ORIENTATION = get_stimulus("gabor").parameter("orientation")
GABOR = Stimulus(
    "theirs",
    "gabors of the hostile networks' author",
    (ORIENTATION,),
    lambda p, x, _y: hostile.gabors(p["orientation"].flatten().detach())[:, 0].to(x),
)


def draw(p: Mapping[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """`hostile.gabors` in any dtype, with its derivative."""
    angle = torch.deg2rad(p["orientation"])
    wave = torch.cos(2 * torch.pi * 4 * (x * angle.cos() - y * angle.sin()) + torch.pi / 6)
    return 0.5 + 0.4 * wave * torch.exp(-(x**2 + y**2) / (2 * 0.2**2))


GABORS = dataclasses.replace(GABOR, draw=draw)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the networks' own making.
        yield


def rows(network: nn.Module, **options: Any) -> Any:
    observer = Observer(network, input_size=32, mean=MEAN, std=STD)
    settings = {"values": VALUES, "noise": "gaussian", "layers": "out", **options}
    return psychophys.measure(observer, GABORS, "orientation", **settings).to_pandas()


def test_the_two_ways_to_the_gabors_agree() -> None:
    images = GABORS.render({"orientation": torch.tensor(VALUES, dtype=torch.float64)}, (32, 32))
    assert torch.allclose(images, hostile.gabors(torch.tensor(VALUES)), atol=1e-12)


FALSE_ALARMS = {
    "Shares": "cannot be copied",  # Its copies are not.
    "Unpool": "not_differentiable",  # The places that it writes to jump.
}


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.__name__)
def test_a_hostile_network_is_measured_rightly_or_refused(case: Any) -> None:
    torch.manual_seed(0)
    try:
        table = rows(case())
        status = table["status"].iloc[0]
        words = status
    except PsychophysError as error:
        status, words = "refused", str(error)
        assert "\n" not in words
    if case.__name__ in FALSE_ALARMS and status != "ok":
        assert FALSE_ALARMS[case.__name__] in words
        return
    if case.verdict == "right":
        assert status == "ok", words
    if status != "ok":
        assert status in ("refused", "not_differentiable")
        return
    right = hostile.right_j(case, hostile.gabors, torch.tensor(VALUES), MEAN, STD, call=0)
    if right is None:
        # Noise that nothing but a difference could see leaves the derivative as it is.
        right = hostile.noiseless_j(case, hostile.gabors, torch.tensor(VALUES), MEAN, STD)
        assert case.__name__ == "ContentSeeded"
    first = table[table["layer"] == table["layer"].iloc[0]]
    np.testing.assert_allclose(first["fisher_information"], right, rtol=max(5 * case.tol, 2e-3))


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("AlwaysDropout", RANDOM),
        ("Jitter", RANDOM),
        ("MonteCarlo", RANDOM),
        ("NoisyHook", RANDOM),
        ("KeptState", STATE),
        ("Annealed", STATE),
        ("Adapting", STATE),
        ("ActNorm", STATE),
        ("BatchMax", MIXES),
        ("Causal", MIXES),
        ("SortedBatch", MIXES),
        ("AnyBranch", "shown again, alone"),
    ],
)
def test_a_refusal_says_what_the_layer_does(case: str, reason: str) -> None:
    with pytest.raises(PsychophysError) as caught:
        rows(getattr(hostile, case)())
    assert reason in str(caught.value)


@pytest.mark.parametrize("case", ["Reversal", "Guided", "NoGradTrunk"])
def test_bounds_are_refused_where_reverse_mode_is_another_function(case: str) -> None:
    with pytest.raises(MeasurementError, match="adjoint"):
        rows(getattr(hostile, case)(), noise="input", noise_level=0.02)
    assert set(rows(getattr(hostile, case)())["status"]) == {"ok"}  # Forward mode is right.


def test_bounds_hold_where_reverse_mode_is_the_adjoint() -> None:
    """J' against a dense solve with a Jacobian from differences."""
    case = hostile.NormalisesInPlace
    table = rows(case(), values=[17.0], noise="input", noise_level=0.02, noise_options={"response": 0.1})
    theta = torch.tensor([17.0], dtype=torch.float64)
    image, h = hostile.gabors(theta), 1e-3
    a = hostile.jacobian(case, image, MEAN, STD)
    change = ((hostile.gabors(theta + h) - hostile.gabors(theta - h)) / (2 * h)).flatten()
    r = float(table["response_rms"].iloc[0])
    covariance = 0.02**2 * a @ a.T + (0.1 * r) ** 2 * torch.eye(len(a), dtype=a.dtype)
    slope = a @ change
    right = float(slope @ torch.linalg.solve(covariance, slope))
    assert table["status"].iloc[0] == "ok"
    assert float(table["fisher_information"].iloc[0]) == pytest.approx(right, rel=2e-2)


def verdict(network: nn.Module, layer: str = "out") -> Any:
    observer = Observer(network, input_size=32)
    return examine(observer, select_layers(observer, [layer]).layers).verdicts[layer]


def test_verdicts_say_where_the_derivative_is_from() -> None:
    good = verdict(hostile.ReluSkip())
    assert (good.reason, good.derivative) == ("", FORWARD)
    assert good.error < 1e-6
    assert good.precision < 1e-5
    cut = verdict(hostile.DataBranch())
    assert cut.derivative == DIFFERENCES
    assert cut.error > 0.01
    assert verdict(hostile.Floor()).derivative == NONE


def test_the_table_says_which_layers_are_by_differences() -> None:
    observer = Observer(hostile.InferenceTrunk(), input_size=32, mean=MEAN, std=STD)
    table = psychophys.measure(observer, GABORS, "orientation", values=VALUES, noise="gaussian")
    frame = table.to_pandas().set_index("layer")
    assert set(frame.loc["out", "estimator"]) == {"central"}
    (record,) = table.runs.values()
    assert record["estimators"]["out"] == "central"
    assert record["contract"]["dtype"] == "float64"


def test_a_layer_without_a_derivative_keeps_its_row() -> None:
    table = rows(hostile.RoundSTE())
    assert set(table["status"]) == {"not_differentiable"}
    assert table["fisher_information"].isna().all()
    asked = rows(hostile.RoundSTE(), estimator="central", step=5.0)
    assert set(asked["status"]) == {"not_differentiable"}
    assert (asked["fisher_information"] > 0).all()  # Who asks for a step gets what differs over it.


def test_a_fisher_matrix_is_held_to_the_same_contract() -> None:
    settings = {"values": [17.0], "parameters": {"frequency": [4.0], "phase": [30.0]}, "noise": "gaussian"}
    right = {"estimator": "central", "dtype": "float64", "step": 1e-4}
    for case in (hostile.DataBranch, hostile.NumpyGain, hostile.ReluSkip):
        observer = Observer(case(), input_size=32)
        ours = psychophys.fisher_matrix(observer, layers="out", **settings).to_pandas()
        one = psychophys.measure(observer, layers="out", **settings, **right).to_pandas()
        j, expected = (table["fisher_information"].iloc[0] for table in (ours, one))
        assert j == pytest.approx(expected, rel=5e-3)
    with pytest.raises(PsychophysError, match="is random"):
        psychophys.fisher_matrix(Observer(hostile.AlwaysDropout(), input_size=32), layers="out", **settings)
    stairs = Observer(hostile.Floor(), input_size=32)
    table = psychophys.fisher_matrix(stairs, layers="out", **settings).to_pandas()
    assert set(table["status"]) == {"not_differentiable"}


def test_a_simulation_is_held_to_the_same_contract() -> None:
    settings = {"values": [0.5], "parameters": {"phase": [30.0]}, "dimension": "contrast", "layers": "out"}
    observer = Observer(hostile.InferenceTrunk(), input_size=32)
    table = psychophys.simulate(observer, **settings, trials=2000).to_pandas()
    assert table["fitted_threshold"].iloc[0] == pytest.approx(table["predicted_threshold"].iloc[0], rel=0.2)
    with pytest.raises(MeasurementError, match="keeps a state"):
        psychophys.simulate(Observer(hostile.KeptState(), input_size=32), **settings)


def test_what_is_known_of_an_observer_is_not_tested_again(monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Observer(hostile.ReluSkip(), input_size=32)
    layers = select_layers(observer).layers
    first = examine(observer, layers)
    calls = []
    observer.model.register_forward_hook(lambda *_: calls.append(1))
    assert examine(observer, layers) == first
    assert calls == []


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_timm_networks_keep_their_contract(name: str) -> None:
    observer = psychophys.load_observer(name, weights="random")
    layers = select_layers(observer, ["all"]).layers
    contract = examine(observer, layers)
    assert {(v.reason, v.derivative) for v in contract.verdicts.values()} == {("", FORWARD)}
    assert contract.notes == ()
    assert set(adjoint(observer, layers).values()) == {""}


# --- common random numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["AlwaysDropout", "BayesWeight", "NoisyParametrization", "NoisyHook"])
def test_a_stochastic_network_with_common_noise_is_a_function(case: str) -> None:
    def measured(batch: int, seed: int = 0, **options: Any) -> np.ndarray:
        torch.manual_seed(0)
        observer = Observer(
            getattr(hostile, case)(), input_size=32, mean=MEAN, std=STD, noise_seed=seed, dtype="float64"
        )
        settings = {"values": VALUES, "noise": "gaussian", "layers": "out", "batch_size": batch, **options}
        table = psychophys.measure(observer, GABORS, "orientation", **settings)
        (record,) = table.runs.values()
        assert record["noise_seed"] == seed
        assert set(table.to_pandas()["status"]) == {"ok"}
        return table.to_pandas()["fisher_information"].to_numpy()

    exact = measured(3)
    np.testing.assert_allclose(measured(1), exact, rtol=1e-9)
    np.testing.assert_allclose(measured(2, estimator="central", step=1e-4), exact, rtol=1e-5)
    assert case == "NoisyHook" or np.abs(measured(3, seed=1) / exact - 1).max() > 1e-4


@pytest.mark.parametrize("case", ["OwnGenerator", "NumpyRandom", "Jitter"])
def test_numbers_from_elsewhere_stay_refused(case: str) -> None:
    observer = Observer(getattr(hostile, case)(), input_size=32, noise_seed=0)
    with pytest.raises(PsychophysError, match=r"is random|keeps a state"):
        psychophys.measure(observer, values=2, layers="out")


def test_common_noise_leaves_the_callers_random_numbers_alone() -> None:
    observer = Observer(hostile.AlwaysDropout(), input_size=32, noise_seed=0)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    psychophys.measure(observer, values=2, layers="out", parameters={"phase": 1})
    assert torch.equal(torch.rand(3), expected)


def test_draws_of_every_kind_are_the_same_for_all_images() -> None:
    class Draws(hostile.Base):
        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            chance = torch.full_like(y, 0.3)
            parts = [
                torch.randn_like(y),
                torch.rand_like(y),
                torch.randn(y.shape, dtype=y.dtype),
                torch.rand(*y.shape, dtype=y.dtype),
                torch.empty_like(y).exponential_(),
                torch.bernoulli(chance),
                torch.empty_like(y).bernoulli_(0.4),
                torch.nn.functional.dropout(y),
                torch.native_dropout(y, 0.5, True)[0],
            ]
            return self.out(y + sum(parts))

    observer = Observer(Draws(), input_size=32, noise_seed=7)
    verdict = examine(observer, select_layers(observer, ["out"]).layers).verdicts["out"]
    assert (verdict.reason, verdict.derivative) == ("", FORWARD)


# --- the caller's network -----------------------------------------------------------------------------


def state_of(network: nn.Module) -> list[Any]:
    return [
        (name, module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in network.named_modules()
    ] + [(name, p.dtype, p.device, p.requires_grad, p.clone()) for name, p in network.named_parameters()]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_callers_network_stays_as_it_was(dtype: str) -> None:
    network = timm.create_model("test_resnet", num_classes=5).to(getattr(torch, dtype)).train()
    next(network.parameters()).requires_grad_(False)
    before = state_of(network)
    observer = Observer(network, input_size=64)
    psychophys.measure(observer, values=2, parameters={"phase": 1})
    after = state_of(network)
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        assert a[:4] == b[:4]
        assert len(a) == 4 or torch.equal(a[4], b[4])
    assert not observer.model.training


def test_a_network_given_away_is_not_copied() -> None:
    network = hostile.ReluSkip()
    assert Observer(network, input_size=32, copy=False).model is network


def test_a_network_that_is_another_after_casting_is_refused() -> None:
    class Turncoat(hostile.Base):
        def train(self, mode: bool = True) -> nn.Module:
            if not mode:
                self.out.weight.data *= 2
            return super().train(mode)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.a(x))

    with pytest.raises(PsychophysError, match="computes something else"):
        Observer(Turncoat(), input_size=32)


# --- arithmetic -----------------------------------------------------------------------------------------


def switches() -> list[str]:
    b = torch.backends
    places = (b, b.cudnn, b.cudnn.conv, b.cudnn.rnn, b.cuda.matmul, b.mkldnn, b.mkldnn.matmul)
    return [place.fp32_precision for place in (*places, b.mkldnn.conv, b.mkldnn.rnn)]


needs_switches = pytest.mark.skipif(
    not hasattr(torch.backends, "fp32_precision"), reason="PyTorch has them from 2.9 on"
)


@needs_switches
def test_arithmetic_is_exact_within_and_put_back_after_an_error() -> None:
    before = switches()
    within: list[str] = []

    def fail() -> None:
        with computing(ARITHMETIC["exact"]):
            within.extend(switches())
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert set(within) <= {"ieee"}
    assert switches() == before


@needs_switches
@pytest.mark.parametrize("kind", ["new", "old"])
def test_a_callers_own_switches_are_put_back(kind: str) -> None:
    try:
        if kind == "new":
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        else:
            torch.set_float32_matmul_precision("medium")
            torch.backends.cudnn.allow_tf32 = False
        before = switches()
        with computing():
            assert set(switches()) <= {"ieee"}
        assert switches() == before
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.mkldnn.matmul.fp32_precision = "none"
        torch.backends.cuda.matmul.fp32_precision = "none"


@pytest.mark.parametrize(
    "within",
    [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["inference_mode", "no_grad", "autocast"],
)
def test_a_callers_mode_changes_nothing(within: Callable[[], Any]) -> None:
    lite0 = psychophys.load_observer()
    settings = {"values": 2, "parameters": {"phase": 1}, "layers": ["blocks.2", "classifier"]}
    expected = psychophys.measure(lite0, **settings).to_pandas()["fisher_information"]
    with within():
        found = psychophys.measure(lite0, **settings).to_pandas()["fisher_information"]
    np.testing.assert_array_equal(found, expected)


def test_rounding_of_products_does_not_pass_for_a_change_by_preparing() -> None:
    contract = psychophys.load_observer(arithmetic="bf16").check("classifier")
    assert contract.dtype == "float64"
    assert not contract.notes
    assert contract.kept


def test_less_exact_arithmetic_is_another_run() -> None:
    settings = {"weights": "random", "values": 2, "parameters": {"phase": 1}, "layers": "conv1"}
    exact = psychophys.measure("test_resnet", **{**settings, "layers": "default"})
    rough = psychophys.measure("test_resnet", **{**settings, "layers": "default"}, arithmetic="bf16")
    assert set(exact.runs) != set(rough.runs)
    (record,) = rough.runs.values()
    assert record["arithmetic"] == "bf16"
    assert record["contract"]["dtype"] == "float64"
    assert not record["contract"]["notes"]
    a, b = (t.to_pandas()["sensitivity"] for t in (exact, rough))
    assert 1e-4 < float(np.abs(b / a - 1)[:4].max()) < 0.1
    with pytest.raises(UsageError, match="arithmetic"):
        psychophys.measure("test_resnet", **settings, arithmetic="tf23")


# --- what differences over many steps say -----------------------------------------------------------------

STEPS = DOUBLE.more_steps


def judged(norms: Sequence[float], changes: Sequence[float], errors: Sequence[float], **more: float) -> str:
    found = Differences(tuple(norms), tuple(changes), tuple(errors), steps=STEPS, **more)
    return _judge(found, DOUBLE).derivative


def test_a_sharp_turn_is_announced_by_curvature_and_a_jump_is_not() -> None:
    # As stage3.3 of an untrained visformer_tiny shows itself: attention that turns within 1e-4.
    norms = [3.6e5, 3.6e5, 3.6e5, 3.6e5, 1.26e6, 8.7e5, 2.2e5, 1.2e5]
    later = [0.95, 0.96, 0.9, 0.8]
    turn = [5.3e-7, 4.9e-5, 5.8e-3, *later], [1.7e-7, 5e-7, 5e-5, 5.9e-3, 0.95, 0.78, 0.83, 0.94]
    jump = [1e-9, 1e-9, 1e-9, *later], [1e-8, 1e-9, 1e-9, 1e-9, 0.95, 0.78, 0.83, 0.94]
    whole = {"tangent": 3.6e5, "response": 3.85e4}
    assert judged(norms, *turn, **whole) == FORWARD
    assert judged(norms, *jump, **whole) == NONE


def test_rounding_of_larger_numbers_is_no_jump() -> None:
    # As stages.3 of an untrained efficientvit_b0: a faint change of a response that is a quotient.
    norms = [0.632, 0.123, 0.031, 3.8e-3, 8.2e-4, 3.4e-4, 3.25e-4, 3.25e-4]
    changes, errors = [1, 1, 1, 0.99, 0.91, 0.32, 0.053], [1, 1, 1, 1, 0.92, 0.31, 0.053, 0.0091]
    assert judged(norms, changes, errors, tangent=3.25e-4, response=7.95) == FORWARD
    assert judged(norms, changes, errors, tangent=3.25e-4, response=1e-3) == NONE


class Cancels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1 + ((1e9 + 1e-5 * x) - 1e9)


def test_a_network_that_cancels_large_numbers_is_measured() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 5), out=Cancels()))
    verdict = Observer(network, input_size=16, mean=MEAN, std=STD).check("out").verdicts["out"]
    assert verdict.derivative == FORWARD
    assert verdict.error < 0.02


# --- what cannot be given -------------------------------------------------------------------------------


def one_channel() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))


def exported() -> Any:
    return torch.export.export(one_channel(), (torch.rand(2, 1, 32, 32),))


def rgb(**options: Any) -> Observer:
    return Observer(hostile.ReluSkip(), input_size=32, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Observer(torch.jit.script(nn.Sequential(nn.ReLU())), input_size=32), "scripted network"),
        (lambda: Observer(exported()), "exported"),
        (
            lambda: Observer(exported().module()),
            "exported",
        ),
        (lambda: Observer("resnet18"), "network of type str"),
        (lambda: Observer(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), input_size=32), "without its size"),
        (lambda: Observer(one_channel(), input_size=(32, 32, 32)), "input_size"),
        (lambda: Observer(one_channel(), input_size=0), "input_size"),
        (lambda: Observer(one_channel(), input_size="32"), "input_size"),
        (lambda: Observer(one_channel(), mean=(0.5, 0.5), std=(1, 1)), "one or three"),
        (lambda: Observer(one_channel(), mean=(0.5,), std=(1.0, 1.0, 1.0)), "std"),
        (lambda: Observer(one_channel(), dtype=torch.float16), "float16"),
        (lambda: psychophys.measure(Observer(one_channel(), input_size=32), values=2), "one number"),
        (
            lambda: psychophys.measure(rgb(mean=(0.5,), std=(1.0,)), values=2),
            "three numbers",
        ),
        (
            lambda: psychophys.measure(rgb(), weights="random"),
            "weights",
        ),
    ],
)
def test_what_is_no_network_to_measure_is_refused_in_a_line(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_quantised_network_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    with pytest.raises(UsageError, match="quantised"):
        Observer(quantised, input_size=32)


@pytest.mark.parametrize("size", [32, (32, 32), (3, 32, 32), [32, 32], torch.Size((32, 32))])
def test_an_input_size_is_said_in_many_ways(size: Any) -> None:
    assert Observer(hostile.ReluSkip(), input_size=size).input_size == (32, 32)


def test_dtypes_of_torch_are_names_too() -> None:
    assert Observer(hostile.ReluSkip(), input_size=32, dtype=torch.float64).dtype == torch.float64


def test_float64_can_be_asked_of_an_observer() -> None:
    observer = Observer(hostile.ReluSkip(), input_size=32)
    table = psychophys.measure(observer, values=2, parameters={"phase": 1}, dtype="float64")
    (record,) = table.runs.values()
    assert record["dtype"] == "float64"
    assert observer.dtype == torch.float32


def test_a_copy_of_an_observer_is_deep_enough() -> None:
    observer = Observer(hostile.ReluSkip(), input_size=32)
    twin = copy.deepcopy(observer)
    assert twin.model is not observer.model
