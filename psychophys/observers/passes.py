"""The forward passes that a contract is tested with: numbers of every layer, and no opinion of them.

They are made in float64, on a copy of the network, where a difference over a hundred-millionth of the images'
range is a derivative to three digits or more. Activations are reduced inside the forward pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from psychophys.base.errors import MeasurementError, first_line
from psychophys.observers.answer import answer
from psychophys.observers.arithmetic import EXACT, Arithmetic, computing
from psychophys.observers.evidence import DOUBLE, NAN, SINGLE, Differences, Passed
from psychophys.observers.fast_rules import FastRules
from psychophys.observers.layers import Layer, module_names, recording, seeded
from psychophys.observers.memory import out_of_memory
from psychophys.observers.prepare import best_threads
from psychophys.observers.probes import Probes
from psychophys.observers.state import has_changed, random_state
from psychophys.observers.viewer import Viewer

Receive = Callable[[str, Tensor], None]
"""``(layer, rows)``: (N, F)."""
REPEATS, DRAWS = 10, 30
"""How often a network that is in doubt is shown the same again, and with other random numbers."""


class Passes:
    """Of an observer, for some of its layers."""

    def __init__(self, observer: Viewer, layers: Sequence[Layer]) -> None:
        self.observer, self.layers = observer, list(layers)
        self.notes: list[str] = []
        self.draws = False
        self.probes = Probes.draw(*observer.input_size)
        self.wide, self.tolerance = observer, SINGLE
        try:
            self.wide, self.tolerance = observer.double(), DOUBLE
        except Exception as error:
            self.notes.append(f"not tested in float64: {first_line(error)}")

    def first(self) -> dict[str, Passed]:
        """Two differences and an image, side by side in one batch."""
        try:
            return self._first()
        except Exception as error:
            if self.wide is self.observer:
                raise
            self.wide, self.tolerance = self.observer, SINGLE
            self.notes.append(f"not tested in float64: {first_line(error)}")
        return self._first()

    def _first(self) -> dict[str, Passed]:
        p, (small, large) = self.probes, self.tolerance.steps
        found: dict[str, Passed] = {}

        def receive(name: str, rows: Tensor) -> None:
            near, far = (rows[2] - rows[3]) / (2 * small), (rows[4] - rows[5]) / (2 * large)
            found[name] = Passed(rows[1].clone(), (near.float(), far.float()))

        moved = [p.pattern + side * p.direction for side in (small, -small, large, -large)]
        self._plain(self.wide, torch.stack([p.stark, p.pattern, *moved]), receive)
        return found

    def second(self, first: dict[str, Passed]) -> bool:
        """The image alone, with a tangent; return whether there is a forward mode.

        Raises
        ------
        MeasurementError
            Where the network does not run on another number of images.
        """
        p = self.probes

        def receive(name: str, rows: Tensor, tangents: Tensor | None = None) -> None:
            of = first[name]
            of.unlike = _unlike(of.response, rows[0])
            if tangents is not None:
                of.tangent = float(tangents[0].norm())
                of.errors = (_apart(of.differences[0], tangents[0]), _apart(of.differences[1], tangents[0]))

        try:
            self._forward(self.wide, p.pattern[None], p.direction[None], receive)
        except Exception as error:
            if out_of_memory(error):
                raise
            self.notes.append(f"no forward mode: {first_line(error)}")
        else:
            return True
        for of in first.values():
            of.tangent, of.errors = None, (NAN, NAN)
        try:
            self._plain(self.wide, p.pattern[None], receive)
        except Exception as error:
            raise MeasurementError(
                f"{self.observer.name} fails when it is shown another number of images ({first_line(error)})",
                "It keeps a state, or is made for one batch.",
            ) from error
        return False

    def again(self, first: dict[str, Passed]) -> dict[str, dict[str, float]]:
        """Largest relative change of an element in other circumstances, by circumstance and layer."""
        p = self.probes
        base: dict[str, Tensor] = {}
        found: dict[str, dict[str, float]] = {}
        usual = self._fresh()

        def show(circumstance: str, observer: Viewer, images: Sequence[Tensor], seed: int = 0) -> None:
            place = next(i for i, image in enumerate(images) if image is p.pattern)
            changes = found.setdefault(circumstance, {})

            def receive(name: str, rows: Tensor) -> None:
                if name in first:
                    base.setdefault(name, rows[place].clone())
                    changes[name] = max(changes.get(name, 0.0), _unlike(base[name], rows[place]))

            with seeded(seed):
                self._plain(observer, torch.stack(list(images)), receive)

        pair = (p.pattern, p.noise)
        for _ in range(REPEATS):
            show("time", usual, pair)
        for seed in range(1, 1 + (DRAWS if self.draws else 1)):
            show("seed", usual, pair, seed)
        experienced = self._fresh()
        with seeded(0):
            self._plain(experienced, torch.stack([p.stark, p.noise]), lambda _name, _rows: None)
        show("history", experienced, pair)
        show("order", self._fresh(), pair[::-1])
        show("others", self._fresh(), (p.pattern, p.stark))
        show("number", self._fresh(), (p.pattern,))
        found["first"] = {name: _unlike(base[name], first[name].response) for name in first.keys() & base}
        return found

    def _fresh(self) -> Viewer:
        return self.observer.fresh() if self.wide is self.observer else self.observer.double()

    def has_changed(self) -> bool:
        """Whether the network is another one since it was shown the tests."""
        return has_changed(self.wide.unused, self.wide.model)

    def differences(self, names: Sequence[str], forward: bool) -> dict[str, Differences]:
        """Differences over many steps beside the tangent, for layers that are in doubt."""
        p, steps = self.probes, self.tolerance.more_steps
        widths = 2 * torch.tensor(steps, dtype=torch.float64)
        found: dict[str, Differences] = {}

        def receive(name: str, rows: Tensor, tangents: Tensor | None = None) -> None:
            if name not in names:
                return
            above, below, at = rows[: len(steps)], rows[len(steps) : 2 * len(steps)], rows[-1]
            d = (above - below) / widths.to(rows)[:, None]
            d[d.norm(dim=1) <= self.tolerance.nothing * at.norm() / widths.to(rows)] = 0
            t = torch.zeros_like(at) if tangents is None else tangents[-1]
            found[name] = Differences(
                tuple(d.norm(dim=1).tolist()),
                tuple(itertools.starmap(_apart, itertools.pairwise(d))),
                tuple(_apart(one, t) for one in d),
                float(t.norm()),
                steps,
                float(at.norm()),
            )

        moved = [p.pattern + side * step * p.direction for side in (1, -1) for step in steps]
        images = torch.stack([*moved, p.pattern])
        if forward:
            self._forward(self.wide, images, p.direction.expand_as(images), receive)
        else:
            self._plain(self.wide, images, receive)
        return found

    def precision(self, first: dict[str, Passed]) -> dict[str, float] | None:
        """Relative error of the tangent's norm as the observer computes it; None where it cannot."""
        found: dict[str, float] = {}

        def receive(name: str, _rows: Tensor, tangents: Tensor | None = None) -> None:
            exact = first[name].tangent
            if tangents is not None and exact:
                found[name] = abs(float(tangents[0].norm()) / exact - 1)

        if self.wide is self.observer:
            return found
        image, along = self.probes.pattern[None], self.probes.direction[None]
        try:
            self._forward(self.observer, image, along, receive, self.observer.arithmetic)
        except Exception as error:
            if out_of_memory(error):
                raise
            word = str(self.observer.dtype).removeprefix("torch.")
            self.notes.append(f"no forward mode in {word}: {first_line(error)}")
            return None
        return found

    def adjoint(self) -> dict[str, float | str]:
        """Relative difference of <v, A u> and <A'v, u>, or what fails instead, by layer."""
        p = self.probes
        found: dict[str, float | str] = {}
        tangents: dict[str, Tensor] = {}

        def keep(name: str, _rows: Tensor, of: Tensor | None = None) -> None:
            if of is not None:
                tangents[name] = of[0].clone()

        try:
            self._forward(self.wide, p.pattern[None], p.direction[None], keep)
        except Exception as error:
            return dict.fromkeys((layer.name for layer in self.layers), first_line(error))
        for layer in self.layers:
            try:
                found[layer.name] = self._adjoint(layer, tangents.get(layer.name))
            except Exception as error:
                found[layer.name] = first_line(error)
        return found

    def _adjoint(self, layer: Layer, tangent: Tensor | None) -> float:
        source = self._images(self.wide, self.probes.pattern[None]).requires_grad_()
        with self._setting(self.wide, EXACT), torch.enable_grad():
            output = answer(self.wide, layer, source).reshape(-1)
            along = torch.zeros_like(output) if tangent is None else tangent.to(output)
            v = torch.randn(along.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
            v = v.to(along) / v.numel() ** 0.5 + along / along.norm().clamp(min=1e-300)
            pixels = torch.zeros_like(source)
            if output.requires_grad:
                (pixels,) = torch.autograd.grad(output, source, v, allow_unused=True, materialize_grads=True)
        forward, reverse = float(v @ along), float((pixels[0] * self.probes.direction.to(pixels)).sum())
        largest = max(abs(forward), abs(reverse))
        return abs(forward - reverse) / largest if largest > 0 else 0.0

    def _plain(self, observer: Viewer, images: Tensor, receive: Receive) -> None:
        with self._watched(observer, EXACT, _in_rows(len(images), receive)), torch.no_grad():
            observer.model(observer.preprocess(self._images(observer, images)))

    def _forward(
        self,
        observer: Viewer,
        images: Tensor,
        tangents: Tensor,
        receive: Callable[[str, Tensor, Tensor | None], None],
        arithmetic: Arithmetic = EXACT,
    ) -> None:
        count = len(images)

        def take(name: str, output: Tensor) -> None:
            response, tangent = forward_ad.unpack_dual(output)
            rows = None if tangent is None else tangent.reshape(count, -1)
            receive(name, response.reshape(count, -1), rows)

        with (
            self._watched(observer, arithmetic, take),
            torch.no_grad(),
            forward_ad.dual_level(),
            sdpa_kernel(SDPBackend.MATH),
            FastRules(reuse=True),
        ):
            dual = forward_ad.make_dual(self._images(observer, images), self._images(observer, tangents))
            observer.model(observer.preprocess(dual))

    @staticmethod
    def _images(observer: Viewer, images: Tensor) -> Tensor:
        return images.to(observer.device, observer.dtype)

    @contextmanager
    def _watched(self, observer: Viewer, arithmetic: Arithmetic, receive: Receive) -> Iterator[None]:
        """Hand the wanted layers' outputs over."""
        wanted = {layer.name for layer in self.layers}

        def take(name: str, output: Tensor) -> None:
            if name in wanted:
                receive(name, output)

        modules = module_names(self.layers)
        before = random_state()
        with self._setting(observer, arithmetic), recording(observer.model, modules, take):
            yield
        self.draws |= random_state() != before

    @staticmethod
    @contextmanager
    def _setting(observer: Viewer, arithmetic: Arithmetic) -> Iterator[None]:
        """Let tensors that a network makes be of its type, and threads be few where they would wait."""
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(observer.dtype)
            with computing(arithmetic), best_threads(observer.model, observer.device, observer.dtype):
                yield
        finally:
            torch.set_default_dtype(before)


def _in_rows(count: int, receive: Receive) -> Callable[[str, Tensor], None]:
    return lambda name, output: receive(name, output.reshape(count, -1))


def _unlike(a: Tensor, b: Tensor) -> float:
    """Largest change of an element, relative to itself and the r.m.s. of all; inf for other shapes."""
    if a.shape != b.shape:
        return float("inf")
    scale = a.abs() + a.square().mean().sqrt()
    change = torch.where(a == b, 0.0, (a - b).abs() / scale)
    change = torch.where(a.isnan() & b.isnan(), 0.0, change)
    return float(change.nan_to_num(nan=torch.inf).max())


def _apart(a: Tensor, b: Tensor) -> float:
    """Relative difference of two directions; NaN where both are 0."""
    b = b.to(a)
    largest = max(float(a.norm()), float(b.norm()))
    return float((a - b).norm()) / largest if largest > 0 else NAN
