"""Convolutions in channels_last: where it is done, where it is not, and that nothing else notices."""

import pytest
import torch
from torch import Tensor, nn

import psychophys
from psychophys.measurement.blocks import present
from psychophys.measurement.plan import plan
from psychophys.observers.layers import recording, select_layers
from psychophys.observers.observer import Observer

LAST = torch.channels_last


class Network(nn.Module):
    """Ten convolutions, and what a test does with their output."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*(nn.Conv2d(3 if n == 0 else 4, 4, 3, padding=1) for n in range(10)))
        self.head = nn.Linear(4 * 16 * 16, 3)

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.flat(self.body(x)))
        return out


class Viewing(Network):
    """There is no such view of channels that lie side by side."""

    def flat(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)


class Striding(Network):
    """Reads memory as it lies."""

    def flat(self, x: Tensor) -> Tensor:
        return x.as_strided((len(x), 4 * 16 * 16), (4 * 16 * 16, 1))


def observer(network: nn.Module, **more: str) -> Observer:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return Observer(network, input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3, **more)


def is_last(seen: Observer) -> bool:
    weights = [m.weight for m in seen.model.modules() if isinstance(m, nn.Conv2d)]
    return all(w.is_contiguous(memory_format=LAST) and not w.is_contiguous() for w in weights)


def test_convolutions_lie_in_the_order_that_is_fastest() -> None:
    assert is_last(observer(Network()))
    assert not is_last(observer(Network(), dtype="float64"))


@pytest.mark.parametrize("kind", [Viewing, Striding])
def test_a_network_that_minds_is_left_as_it_was(kind: type[Network]) -> None:
    seen = observer(kind())
    assert not is_last(seen)
    table = psychophys.measure(seen, values=2, parameters={"phase": 1, "frequency": 3}, layers="head")
    same = psychophys.measure(
        observer(Network()), values=2, parameters={"phase": 1, "frequency": 3}, layers="head"
    )
    ours, other = (t.to_pandas()["sensitivity"].to_numpy() for t in (table, same))
    assert ours == pytest.approx(other, rel=1e-4)


def test_features_come_in_the_order_of_the_output_where_that_is_asked_for() -> None:
    seen = observer(Network())
    asked = plan(values=3, layers=["body.4"], parameters={"phase": 1, "frequency": 3.0})
    layers = select_layers(seen, ["body.4"]).layers
    shown = present(asked, seen, layers, (slice(0, 1), slice(0, 3)), asked.estimator)
    outputs: list[Tensor] = []
    with torch.no_grad(), recording(seen.model, ["body.4"], lambda _, output: outputs.append(output.clone())):
        seen.model(seen.preprocess(shown.images()[0]))
    assert not outputs[0].is_contiguous()
    plain = outputs[0].reshape(3, -1)

    def respond(*, in_order: bool) -> tuple[Tensor, Tensor]:
        found: list[tuple[Tensor, Tensor]] = []

        def receive(_name: str, response: Tensor, change: Tensor | None) -> None:
            assert change is not None
            found.append((response.clone(), change.clone()))

        shown.respond(receive, in_order=in_order)
        return torch.cat([r for r, _ in found]), torch.cat([c for _, c in found])

    ordered, changes = respond(in_order=True)
    assert torch.allclose(ordered, plain, rtol=1e-4, atol=1e-5)
    loose, loose_changes = respond(in_order=False)
    assert not torch.allclose(loose, plain, rtol=1e-2)
    # Responses and changes are in one order: products of them are the same.
    assert torch.allclose((loose * loose_changes).sum(1), (ordered * changes).sum(1), rtol=1e-4)
