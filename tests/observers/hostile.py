"""Small networks that are hard to measure rightly, written without a look at how they are measured.

Every class is built without arguments, seeds itself, takes (B, 3, 32, 32) and has a layer `out`.

    kind     which family of trouble
    verdict  "right"  the tool should measure `right_j` (refusing is a false alarm)
             "refuse" no honest number exists (random, stateful, batch-dependent, no derivative)
             "either" `right_j`, or a refusal that says why; any other number is wrong
    why      one line

`clean`, where a class has it, is an independent, noiseless forward; `doubled` the way to float64.
"""

import math
import random
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

CASES = []
LIMIT = 1.05  # AnyBranch: between the largest responses of the images (set it to suit other stimuli)


def case(kind, verdict, why):
    def add(cls):
        cls.kind, cls.verdict, cls.why = kind, verdict, why
        CASES.append(cls)
        return cls

    return add


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(3, 4, 5)
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Conv2d(4, 4, 1)
        self.setup()

    def setup(self):
        pass

    tol = 1e-3  # relative error of right_j itself (at h = 1e-4 it is 1e-6 or better for nearly all)
    clean = None  # forward of an independent implementation, in float64

    @staticmethod
    def doubled(network):
        return network.double()


# ---------------------------------------------------------------- the derivative is cut


@case("cut", "either", ".data takes the tangent away from one of two branches only: J is not 0 but wrong")
class DataBranch(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y.tanh() + self.c(y.data))

    def clean(self, x):
        y = self.a(x)
        return self.out(y.tanh() + self.c(y))


@case("cut", "either", "gain control whose divisor goes through numpy and comes back without a tangent")
class NumpyGain(Base):
    def forward(self, x):
        y = self.a(x)
        gain = np.sqrt(1 + (y.detach().cpu().numpy() ** 2).mean(axis=(1, 2, 3), keepdims=True))
        return self.out(y / torch.from_numpy(gain).to(y))

    def clean(self, x):
        y = self.a(x)
        return self.out(y / (1 + y.square().mean(dim=(1, 2, 3), keepdim=True)).sqrt())


@case("cut", "either", ".item() of each image's mean: a python float carries no tangent")
class ItemMean(Base):
    def forward(self, x):
        y = self.a(x).square()
        return self.out(torch.stack([image / (0.1 + image.mean().item()) for image in y]))

    def clean(self, x):
        y = self.a(x).square()
        return self.out(y / (0.1 + y.mean(dim=(1, 2, 3), keepdim=True)))


@case("cut", "either", "torch.tensor(list) copies the values and drops the tangent")
class TensorOfList(Base):
    def forward(self, x):
        y = self.a(x)
        pooled = torch.tensor(y.mean(dim=(2, 3)).tolist(), dtype=y.dtype, device=y.device)
        return self.out(y.tanh() * (1 + pooled[:, :, None, None]))

    def clean(self, x):
        y = self.a(x)
        return self.out(y.tanh() * (1 + y.mean(dim=(2, 3))[:, :, None, None]))


@case("cut", "either", "the trunk alone runs in inference_mode, its result is cloned outside")
class InferenceTrunk(Base):
    def forward(self, x):
        with torch.inference_mode():
            y = self.c(self.a(x).tanh())
        return self.out(y.clone())

    def clean(self, x):
        return self.out(self.c(self.a(x).tanh()))


@case("cut", "right", "no_grad in forward does not stop forward-mode AD, but stops torch.func and reverse")
class NoGradTrunk(Base):
    def forward(self, x):
        with torch.no_grad():
            y = self.a(x)
        return self.out((self.c(y) * y).tanh())


@case(
    "cut", "either", "attention map with stop-gradient (detached softmax), as BYOL/SimSiam-like code has it"
)
class StopGradAttention(Base):
    def forward(self, x):
        y = self.a(x)
        w = (20 * self.c(y)).flatten(2).softmax(-1).view_as(y).detach()
        return self.out(y * w * 784)

    def clean(self, x):
        y = self.a(x)
        return self.out(y * (20 * self.c(y)).flatten(2).softmax(-1).view_as(y) * 784)


# ---------------------------------------------------------------- in place, argument read again


@case("inplace", "right", "relu_ rectifies the skip too, for the add reads the same memory")
class ReluSkip(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(self.c(y.relu_()) + y)

    def clean(self, x):
        y = torch.relu(self.a(x))
        return self.out(self.c(y) + y)


@case("inplace", "right", "clamp_ on a view changes half of the base, and the base is read")
class ClampView(Base):
    def forward(self, x):
        y = self.a(x)
        y[:, :2].clamp_(-0.1, 0.1)
        y.view(y.shape[0], -1)[:, ::3].mul_(2)
        return self.out(y)

    def clean(self, x):
        y = self.a(x)
        y = torch.cat([y[:, :2].clamp(-0.1, 0.1), y[:, 2:]], 1)
        flat = y.flatten(1)
        gain = torch.ones(flat.shape[1], dtype=y.dtype)
        gain[::3] = 2
        return self.out((flat * gain).view_as(y))


@case(
    "inplace",
    "right",
    "the output of `out` itself is rectified in place afterwards; a hook that keeps a reference sees it",
)
class OutOverwritten(Base):
    def forward(self, x):
        return F.relu(self.out(self.a(x)), inplace=True).mul_(100).mean(dim=(2, 3))

    def clean(self, x):
        self.out(self.a(x))


@case("inplace", "either", "no-tangent in-place through .data: the value is clamped, its tangent is not")
class DataClamp(Base):
    def forward(self, x):
        y = self.a(x)
        y.data.clamp_(min=0)
        return self.out(y)

    def clean(self, x):
        return self.out(self.a(x).clamp(min=0))


@case("inplace", "right", "index assignment into zeros made without dtype (float32 even under float64)")
class IndexAssign(Base):
    def forward(self, x):
        y = self.a(x)
        z = torch.zeros(y.shape, device=y.device)
        z[:, [2, 0, 3, 1]] = y
        z[:, 1:] += z[:, :-1].clone()
        return self.out(z)

    def clean(self, x):
        z = self.a(x)[:, [1, 3, 0, 2]]
        return self.out(torch.cat([z[:, :1], z[:, 1:] + z[:, :-1]], 1))


@case(
    "inplace",
    "right",
    "work space kept as a buffer and always rewritten before reading: harmless, but tangents may stay in it",
)
class Workspace(Base):
    def setup(self):
        self.register_buffer("space", torch.zeros(64, 4, 28, 28), persistent=False)

    def forward(self, x):
        y = self.a(x)
        if len(y) > len(self.space):
            return torch.cat([self.forward(part) for part in x.split(len(self.space))])
        self.space[: len(y)].copy_(y)
        return self.out(self.space[: len(y)].square())

    def clean(self, x):
        return self.out(self.a(x).square())


@case("inplace", "either", "out= variants do not support AD at all")
class OutArgument(Base):
    def forward(self, x):
        y = self.a(x)
        z = torch.empty_like(y)
        torch.mul(y, y, out=z)
        return self.out(z)

    def clean(self, x):
        return self.out(self.a(x).square())


# ---------------------------------------------------------------- random


@case("random", "refuse", "F.dropout with its default training=True is on in eval")
class AlwaysDropout(Base):
    def forward(self, x):
        return self.out(F.dropout(self.a(x).tanh(), 0.1))

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case(
    "random",
    "refuse",
    "its own torch.Generator, not reached by torch.manual_seed nor by saving the global state",
)
class OwnGenerator(Base):
    def setup(self):
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        y = self.a(x)
        return self.out(y + 0.01 * torch.randn(y.shape, generator=self.generator, dtype=y.dtype).to(y.device))

    def clean(self, x):
        return self.out(self.a(x))


@case("random", "refuse", "multiplicative gain from numpy.random")
class NumpyRandom(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y * float(np.random.lognormal(0, 0.05)))

    def clean(self, x):
        return self.out(self.a(x) * math.exp(0.05**2 / 2))


@case(
    "random",
    "refuse",
    "eye movements: the image is rolled by python's random, often by 0 (8 of 9 calls agree)",
)
class Jitter(Base):
    def forward(self, x):
        shift = random.choice([0] * 8 + [1])
        return self.out(self.a(x.roll(shift, dims=-1)).tanh())

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case("random", "refuse", "MC dropout: train() of the layer is overridden to stay on")
class MonteCarlo(Base):
    class Dropout(nn.Dropout):
        def train(self, mode=True):
            return super().train(True)

    def setup(self):
        self.drop = self.Dropout(0.2)

    def forward(self, x):
        return self.out(self.drop(self.a(x).tanh()))

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case(
    "random", "refuse", "reseeds in forward: repeats exactly, but each position in the batch gets other noise"
)
class Reseeded(Base):
    def forward(self, x):
        state = torch.get_rng_state()
        torch.manual_seed(1)
        y = self.a(x)
        y = y * (1 + 0.3 * torch.randn(y.shape, dtype=y.dtype).to(y.device))
        torch.set_rng_state(state)
        return self.out(y)

    def clean(self, x):
        return self.out(self.a(x))


@case(
    "random",
    "refuse",
    "noise seeded by the image's content: repeats exactly, alone and in a batch; AD never sees it",
)
class ContentSeeded(Base):
    def forward(self, x):
        y = self.a(x)
        noise = []
        for image in x:
            seed = int(image.double().abs().sum().item() * 1e6) % 2**31
            g = torch.Generator().manual_seed(seed)
            noise.append(torch.randn(y.shape[1:], generator=g, dtype=y.dtype))
        return self.out(y + 0.01 * torch.stack(noise).to(y.device))

    def clean(self, x):
        return self.out(self.a(x))


@case("random", "refuse", "Poisson spike counts; the tangent of torch.poisson is zero")
class PoissonSpikes(Base):
    def forward(self, x):
        return self.out(torch.poisson(20 * F.softplus(self.a(x))) / 20)

    def clean(self, x):
        return self.out(F.softplus(self.a(x)))


@case("random", "refuse", "Bayesian layer: a weight sample for each call")
class BayesWeight(Base):
    def forward(self, x):
        w = self.a.weight + 0.02 * torch.randn_like(self.a.weight)
        return self.out(F.conv2d(x, w, self.a.bias).tanh())

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case("random", "right", "control: nn.Dropout and DropPath are off in eval, randomness only in __init__")
class DropoutOff(Base):
    def setup(self):
        self.drop = nn.Dropout2d(0.5)
        self.register_buffer("mask", (torch.rand(4, 28, 28) > 0.3).float())

    def forward(self, x):
        y = self.drop(self.a(x).tanh()) * self.mask
        if self.training:
            y = y * torch.bernoulli(torch.full((len(y), 1, 1, 1), 0.5))
        return self.out(y)


# ---------------------------------------------------------------- state


@case("state", "refuse", "recurrent state kept between calls (shape-checked as users do)")
class KeptState(Base):
    def setup(self):
        self.h = None

    def forward(self, x):
        y = self.a(x)
        if self.h is None or self.h.shape != y.shape:
            self.h = torch.zeros_like(y)
        self.h = torch.tanh(y + 0.5 * self.c(self.h)).detach()
        return self.out(self.h)


@case("state", "refuse", "adapting neurons: threshold buffer moves with the mean of what was seen")
class Adapting(Base):
    def setup(self):
        self.register_buffer("threshold", torch.zeros(4, 1, 1))

    def forward(self, x):
        y = self.a(x)
        r = F.softplus(y - self.threshold)
        with torch.no_grad():
            self.threshold.lerp_(r.mean(dim=(0, 2, 3))[:, None, None], 0.1)
        return self.out(r)


@case("state", "refuse", "leaky integrate-and-fire: membrane kept between calls, spikes are steps")
class LeakyFire(Base):
    def setup(self):
        self.v = 0.0

    def forward(self, x):
        y = self.a(x)
        if torch.is_tensor(self.v) and self.v.shape != y.shape:
            self.v = 0.0
        v = 0.9 * self.v + y
        s = (v > 0.5).to(y)
        self.v = (v - s * 0.5).detach()
        return self.out(s)


@case(
    "state",
    "refuse",
    "whitening by a running variance updated in forward, in eval too; a slow drift (momentum 1e-3)",
)
class SlowNorm(Base):
    def setup(self):
        self.register_buffer("var", torch.ones(4))

    def forward(self, x):
        y = self.a(x)
        self.var += 1e-3 * (y.detach().square().mean(dim=(0, 2, 3)) - self.var)
        return self.out(y / self.var.sqrt()[:, None, None])


@case("state", "refuse", "temperature annealed by a counter in a plain attribute, every 5th call")
class Annealed(Base):
    def setup(self):
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.out(torch.tanh(self.a(x) * (1 + 0.2 * (self.calls // 5))))


@case("state", "refuse", "memoises the first input by its shape: later images give the first answer")
class Memoised(Base):
    def setup(self):
        self.memo = {}

    def forward(self, x):
        if x.shape not in self.memo:
            self.memo[x.shape] = self.a(x).tanh()
        return self.out(self.memo[x.shape])


@case("state", "refuse", "the state is a class attribute: copy.deepcopy and state_dict do not reach it")
class ClassState(Base):
    seen = [0.0]

    def forward(self, x):
        y = self.a(x)
        ClassState.seen[0] = 0.9 * ClassState.seen[0] + 0.1 * float(y.abs().mean())
        return self.out(y / (0.1 + ClassState.seen[0]))


@case("state", "refuse", "data-dependent initialisation (ActNorm): the first batch sets the scale")
class ActNorm(Base):
    def setup(self):
        self.register_buffer("ready", torch.tensor(False))
        self.register_buffer("scale", torch.ones(1, 4, 1, 1))

    def forward(self, x):
        y = self.a(x)
        if not self.ready:
            self.scale.copy_(1 / y.std(dim=(0, 2, 3), keepdim=True))
            self.ready.fill_(True)
        return self.out(y * self.scale)


@case("state", "right", "control: a grid cached by batch size and a call counter; neither touches the values")
class HarmlessCache(Base):
    def setup(self):
        self.grids, self.calls = {}, 0
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        self.seen += len(x)
        y = self.a(x)
        if len(y) not in self.grids:
            self.grids[len(y)] = torch.linspace(0, 1, 28, dtype=y.dtype, device=y.device).expand(
                len(y), 4, 28, 28
            )
        return self.out(y.tanh() * self.grids[len(y)])


# ---------------------------------------------------------------- the batch matters


@case("batch", "refuse", "BatchNorm without running statistics uses the batch's in eval too")
class BatchStats(Base):
    def setup(self):
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x):
        return self.out(self.norm(self.a(x)))


@case("batch", "refuse", "divided by the batch's maximum: only the image that holds it changes the others")
class BatchMax(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y / y.abs().max())


@case("batch", "refuse", "causal: cumsum over the batch, so the first image is unaffected")
class Causal(Base):
    def forward(self, x):
        y = self.a(x)
        n = torch.arange(1, len(y) + 1, device=y.device)[:, None, None, None]
        return self.out((y.cumsum(0) / n).tanh())


@case("batch", "refuse", "contrast: the batch's mean image is subtracted (zero for a batch of one)")
class BatchContrast(Base):
    def forward(self, x):
        return self.out(self.a(x - x.mean(0, keepdim=True)).tanh())


@case("batch", "refuse", "sorts the batch by energy: the rows come out in another order")
class SortedBatch(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y[y.square().sum(dim=(1, 2, 3)).argsort()])


@case("batch", "refuse", "mixup by roll left on")
class RolledMix(Base):
    def forward(self, x):
        y = self.a(0.9 * x + 0.1 * x.roll(1, 0))
        return self.out(y.tanh())


@case("batch", "refuse", "a gain for each position in the batch (e.g. weights per view)")
class PositionGain(Base):
    def setup(self):
        self.register_buffer("gain", torch.rand(512, 1, 1, 1) + 0.5)

    def forward(self, x):
        y = self.a(x)
        return self.out(y.tanh() * self.gain[torch.arange(len(y), device=y.device) % 512])


@case(
    "batch", "refuse", "one branch for the whole batch, taken by any(): rarely differs from one image alone"
)
class AnyBranch(Base):
    def forward(self, x):
        y = self.a(x)
        if (y > LIMIT).any():
            y = y.tanh()
        return self.out(y)


@case("batch", "right", "control: statistics over dim 0 after the batch was moved to dim 1; each image alone")
class PerImageNorm(Base):
    def forward(self, x):
        y = self.a(x).flatten(1).t()
        y = (y - y.mean(0)) / (y.std(0) + 0.1)
        return self.out(y.t().reshape(-1, 4, 28, 28))


@case("layout", "either", "sequence-first: the batch is dim 1 of `out`, rows of dim 0 are not images")
class SequenceFirst(Base):
    def setup(self):
        self.out = nn.Linear(4, 4)

    def forward(self, x):
        return self.out(self.a(x).tanh().flatten(2).permute(2, 0, 1))


@case("layout", "either", "patches are folded into the batch: `out` has 16 rows for each image")
class PatchBatch(Base):
    def forward(self, x):
        y = self.a(x).tanh().unfold(2, 7, 7).unfold(3, 7, 7)
        return self.out(y.permute(0, 2, 3, 1, 4, 5).reshape(-1, 4, 7, 7))


@case("layout", "either", "time steps stacked in front: rows 0..B-1 of T*B are the first step only")
class TimeMajor(Base):
    def forward(self, x):
        y = self.a(x)
        steps = [y.tanh()]
        for _ in range(2):
            steps.append(torch.tanh(y + self.c(steps[-1])))
        return self.out(torch.cat(steps, 0))


@case("layout", "either", "images go through one by one: `out` is called once per image with a batch of one")
class OneByOne(Base):
    def forward(self, x):
        return torch.cat([self.out(self.a(image[None]).tanh()) for image in x])


@case("layout", "either", "a blank reference image is put in front of the batch: rows are shifted by one")
class BlankFirst(Base):
    def forward(self, x):
        y = self.a(torch.cat([torch.zeros_like(x[:1]), x])).tanh()
        return self.out(y)[1:]


# ---------------------------------------------------------------- overridden methods


@case("override", "right", "train() returns None (the usual frozen-BatchNorm recipe), so copy.eval() is None")
class TrainNone(Base):
    def setup(self):
        self.norm = nn.BatchNorm2d(4)
        self.norm.running_var.fill_(0.3)

    def train(self, mode=True):
        super().train(mode)
        self.norm.training = False

    def forward(self, x):
        return self.out(self.norm(self.a(x)).tanh())


@case("override", "right", "LoRA-like: eval() merges the update into the weight, train() takes it out")
class MergeAtEval(Base):
    def setup(self):
        self.u, self.v = nn.Parameter(torch.randn(4, 2) * 0.3), nn.Parameter(torch.randn(2, 75) * 0.3)
        self.merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            sign = -1 if mode else 1
            self.a.weight.data += sign * (self.u @ self.v).view_as(self.a.weight).data
            self.merged = not mode
        return self

    def forward(self, x):
        w = self.a.weight if self.merged else self.a.weight + (self.u @ self.v).view_as(self.a.weight)
        return self.out(F.conv2d(x, w, self.a.bias).tanh())

    def clean(self, x):  # right_j calls eval(), hence merged
        return self.out(F.conv2d(x, self.a.weight, self.a.bias).tanh())


@case(
    "override", "either", "RepVGG-like: eval() replaces `out` by a fused layer, so hooks set before are lost"
)
class RefusedOut(Base):
    def setup(self):
        self.side = nn.Conv2d(4, 4, 1)

    def train(self, mode=True):
        super().train(mode)
        if not mode and self.side is not None:
            fused = nn.Conv2d(4, 4, 1).to(self.out.weight)
            fused.weight.data = self.out.weight.data + self.side.weight.data
            fused.bias.data = self.out.bias.data + self.side.bias.data
            self.out, self.side = fused, None
        return self

    def forward(self, x):
        y = self.a(x).tanh()
        return self.out(y) if self.side is None else self.out(y) + self.side(y)


@case("override", "right", "to() returns None and half()/float()/double() are refused by an assertion")
class ToNone(Base):
    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)

    def half(self):
        raise AssertionError("keep me in single precision")

    float = double = half

    def forward(self, x):
        return self.out(self.a(x).tanh())

    @staticmethod
    def doubled(network):
        return nn.Module.double(network)


@case("override", "right", "_apply keeps a table outside the registry in step, and returns None")
class ApplyNone(Base):
    def setup(self):
        self.table = torch.linspace(-1, 1, 28)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.table = fn(self.table)

    def forward(self, x):
        return self.out(self.a(x) * self.table)

    @staticmethod
    def doubled(network):
        network.double()
        return network


@case("override", "right", "a tensor in a plain attribute: .to() does not move or cast it")
class PlainTensor(Base):
    def setup(self):
        self.kernel = torch.randn(4, 4, 3, 3) * 0.2
        self.kernels = [torch.randn(4, 1, 1)]

    def forward(self, x):
        y = F.conv2d(self.a(x), self.kernel.to(self.a.weight.dtype), padding=1)
        return self.out(y.tanh() * self.kernels[0])


@case(
    "override",
    "right",
    "requires_grad_ is overridden to thaw (and returns None), __deepcopy__ shares the weights",
)
class Shares(Base):
    def requires_grad_(self, flag=True):
        super().requires_grad_(True)

    def __deepcopy__(self, memo):
        new = type(self)()
        new.a, new.c, new.out = self.a, self.c, self.out
        return new

    def forward(self, x):
        return self.out(self.c(self.a(x).tanh()))


# ---------------------------------------------------------------- complex


@case(
    "complex",
    "right",
    "complex filter as a Parameter: .to(torch.float32) drops its imaginary part with a mere warning",
)
class ComplexFilter(Base):
    def setup(self):
        self.filter = nn.Parameter(torch.randn(32, 17, dtype=torch.cfloat))

    def forward(self, x):
        z = torch.fft.irfft2(torch.fft.rfft2(x, norm="ortho") * self.filter, s=(32, 32), norm="ortho")
        return self.out(self.a(z).tanh())


@case("complex", "right", "complex steerable bank as a buffer, energy by abs() (sqrt at 0)")
class ComplexEnergy(Base):
    def setup(self):
        self.register_buffer("bank", torch.randn(4, 32, 32, dtype=torch.cfloat))

    def forward(self, x):
        z = torch.fft.ifft2(torch.fft.fft2(x.mean(1, keepdim=True)) * self.bank)
        return self.out(z.abs())


@case(
    "complex",
    "either",
    "`out` itself is complex: a J of its real part alone is wrong; ||d out||^2 counts both",
)
class ComplexOut(Base):
    def setup(self):
        class Transform(nn.Module):
            def forward(self, x):
                return torch.fft.fft2(x, norm="ortho")

        self.out = Transform()

    def forward(self, x):
        return self.out(self.a(x).tanh()).abs()


# ---------------------------------------------------------------- integers, quantised weights


@case(
    "integer",
    "right",
    "uint8 weights with zero point and scale, dequantised in forward: casting all buffers is harmless only if exact",
)
class ByteWeights(Base):
    def setup(self):
        w = self.a.weight.data
        self.scale = float((w.max() - w.min()) / 255)
        self.zero = int(-(w.min() / self.scale).round())
        self.register_buffer("packed", (w / self.scale + self.zero).round().clamp(0, 255).to(torch.uint8))

    def forward(self, x):
        w = (self.packed.to(x.dtype) - self.zero) * self.scale
        return self.out(F.conv2d(x, w).tanh())


@case("integer", "right", "4-bit weights packed two in a byte (bit operations fail on a float buffer)")
class Nibbles(Base):
    def setup(self):
        self.register_buffer("packed", torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8))
        self.register_buffer("order", torch.randperm(4))

    def forward(self, x):
        low, high = (self.packed & 15), (self.packed >> 4)
        y = F.conv2d(x, (low.to(x.dtype) - high.to(x.dtype)) / 40)
        return self.out(y[:, self.order].tanh())


@case(
    "integer",
    "refuse",
    "dynamic int8 activations, with a scale per image: a staircase under an exact-looking scale derivative",
)
class DynamicInt8(Base):
    def forward(self, x):
        y = self.a(x)
        s = y.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
        return self.out((y / s).round().to(torch.int8).to(y.dtype) * s)


@case("integer", "refuse", "the image is made uint8 (as a camera would) before the network")
class ByteImage(Base):
    def forward(self, x):
        image = ((x + 3) * 40).clamp(0, 255).to(torch.uint8)
        return self.out(self.a(image.to(x.dtype) / 40 - 3).tanh())


# ---------------------------------------------------------------- bfloat16


@case(
    "bfloat16",
    "either",
    "the trunk's weights are bfloat16 and forward casts around them: rounding makes a staircase",
)
class HalfTrunk(Base):
    def setup(self):
        self.a.to(torch.bfloat16)

    def forward(self, x):
        return self.out(self.a(x.to(self.a.weight.dtype)).to(self.out.weight.dtype).tanh())


@case("bfloat16", "either", "bfloat16 hard-coded in forward: casting the module does not help, or it chokes")
class HardHalf(Base):
    def forward(self, x):
        w = self.a.weight.to(torch.bfloat16)
        return self.out(F.conv2d(x.to(torch.bfloat16), w).to(x.dtype).tanh())

    def clean(self, x):
        return self.out(F.conv2d(x, self.a.weight.to(torch.bfloat16).to(x.dtype)).tanh())


@case("bfloat16", "either", "autocast(bfloat16) inside forward")
class Autocast(Base):
    def forward(self, x):
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            y = self.a(x)
        return self.out(y.to(self.out.weight.dtype).tanh())

    def clean(self, x):  # autocast rounds weights and bias to bfloat16
        w, b = (p.to(torch.bfloat16).to(x.dtype) for p in (self.a.weight, self.a.bias))
        return self.out(F.conv2d(x, w, b).tanh())


# ---------------------------------------------------------------- straight-through


@case(
    "straight-through", "refuse", "y + (round(y) - y).detach(): a staircase with the tangent of the identity"
)
class RoundSTE(Base):
    def forward(self, x):
        y = 8 * self.a(x)
        return self.out(y + (y.round() - y).detach())


@case("straight-through", "refuse", "torch.fake_quantize: rounding with the identity as its derivative")
class FakeQuantize(Base):
    def forward(self, x):
        return self.out(torch.fake_quantize_per_tensor_affine(self.a(x), 0.02, 0, -128, 127))


@case(
    "straight-through",
    "either",
    "clamp forward, identity in the derivative: the true derivative is the mask's",
)
class ClampSTE(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y + (y.clamp(-0.2, 0.2) - y).detach())

    def clean(self, x):
        return self.out(self.a(x).clamp(-0.2, 0.2))


@case("straight-through", "refuse", "binary activations, hard-tanh as the tangent (custom jvp)")
class SignSTE(Base):
    class Sign(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            return x.sign()

        @staticmethod
        def backward(ctx, g):
            return g * (ctx.saved_tensors[0].abs() < 1)

        @staticmethod
        def jvp(ctx, t):
            return t * (ctx.saved_tensors[0].abs() < 1)

    def forward(self, x):
        return self.out(self.Sign.apply(self.a(x)))


# ---------------------------------------------------------------- custom Functions


@case("surrogate", "either", "smooth Function whose jvp is the surrogate, not the derivative; backward right")
class WrongJvp(Base):
    class Tanh(Function):
        @staticmethod
        def forward(ctx, x):
            y = torch.tanh(4 * x)
            ctx.save_for_backward(y)
            ctx.save_for_forward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return 4 * g * (1 - ctx.saved_tensors[0] ** 2)

        @staticmethod
        def jvp(ctx, t):
            return t * 0.5

    def forward(self, x):
        return self.out(self.Tanh.apply(self.a(x)))

    def clean(self, x):
        return self.out(torch.tanh(4 * self.a(x)))


@case("surrogate", "refuse", "spikes with a fast-sigmoid surrogate, over 4 steps, state inside one call")
class SurrogateSpikes(Base):
    class Spike(Function):
        @staticmethod
        def forward(v):
            return (v > 0).to(v)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, g):
            return g / (1 + 10 * ctx.saved_tensors[0].abs()) ** 2

        @staticmethod
        def jvp(ctx, t):
            return t / (1 + 10 * ctx.saved_tensors[0].abs()) ** 2

    def forward(self, x):
        y, v, count = self.a(x), 0, 0
        for _ in range(4):
            v = 0.8 * v + y
            s = self.Spike.apply(v - 0.4)
            v = v - 0.4 * s
            count = count + s
        return self.out(count / 4)


@case("surrogate", "either", "smooth Function without jvp, right backward (memory-saving swish)")
class SwishNoJvp(Base):
    class Swish(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * torch.sigmoid(x)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            s = torch.sigmoid(x)
            return g * s * (1 + x * (1 - s))

    def forward(self, x):
        return self.out(self.Swish.apply(4 * self.a(x)))


@case("surrogate", "either", "Function that runs on numpy, no jvp, no useful backward")
class NumpyFunction(Base):
    class Sine(Function):
        @staticmethod
        def forward(ctx, x):
            return torch.from_numpy(np.sin(x.detach().cpu().numpy())).to(x)

        @staticmethod
        def backward(ctx, g):
            return None

    def forward(self, x):
        return self.out(self.Sine.apply(3 * self.a(x)))

    def clean(self, x):
        return self.out(torch.sin(3 * self.a(x)))


@case(
    "wrong backward",
    "either",
    "gradient reversal: forward identity, jvp right, backward negative; J right, J' v wrong",
)
class Reversal(Base):
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return -g

        @staticmethod
        def jvp(ctx, t):
            return t.view_as(t)

    def forward(self, x):
        y = self.a(x)
        return self.out(y.tanh() + 0.5 * self.Reverse.apply(y))

    def clean(self, x):
        y = self.a(x)
        return self.out(y.tanh() + 0.5 * y)


@case("wrong backward", "either", "guided backprop: jvp of relu, backward clamps the gradient (not adjoint)")
class Guided(Base):
    class Relu(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.save_for_forward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, g):
            return g.clamp(min=0) * (ctx.saved_tensors[0] > 0)

        @staticmethod
        def jvp(ctx, t):
            return t * (ctx.saved_tensors[0] > 0)

    def forward(self, x):
        return self.out(self.Relu.apply(self.a(x)))

    def clean(self, x):
        return self.out(torch.relu(self.a(x)))


@case("wrong backward", "either", "tensor hook and full backward hook rescale the gradients (reverse only)")
class GradHooks(Base):
    def setup(self):
        self.c.register_full_backward_hook(
            lambda module, gin, gout: tuple(None if g is None else 3 * g for g in gin)
        )

    def forward(self, x):
        y = self.a(x)
        if y.requires_grad:
            y.register_hook(lambda g: g / (1e-9 + g.norm()))
        return self.out(self.c(y.tanh()))

    def clean(self, x):
        return self.out(self.c(self.a(x).tanh()))


# ---------------------------------------------------------------- hard quantisers, sorting


@case(
    "quantiser",
    "refuse",
    "floor: derivative 0 almost everywhere, jumps elsewhere (J = 0 would be `insensitive`)",
)
class Floor(Base):
    def forward(self, x):
        return self.out((20 * self.a(x)).floor() / 20)


@case("quantiser", "refuse", "smooth part plus a staircase: J looks healthy but leaves out the jumps")
class SmoothPlusStairs(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y + (10 * y).round() / 10)


@case("quantiser", "refuse", "lookup table by index (bucketize): codes carry no tangent")
class Lookup(Base):
    def setup(self):
        self.register_buffer("edges", torch.linspace(-1, 1, 63))
        self.table = nn.Embedding(64, 1)

    def forward(self, x):
        return self.out(self.table(torch.bucketize(self.a(x).contiguous(), self.edges)).squeeze(-1))


@case("quantiser", "refuse", "vector quantiser: nearest code (argmin of cdist), straight-through detach")
class CodeBook(Base):
    def setup(self):
        self.codes = nn.Parameter(torch.randn(16, 4) * 0.3)

    def forward(self, x):
        y = self.a(x).permute(0, 2, 3, 1)
        q = self.codes[(y.unsqueeze(-2) - self.codes).square().sum(-1).argmin(-1)]
        return self.out((y + (q - y).detach()).permute(0, 3, 1, 2))


@case("order", "refuse", "one-hot of the argmax over channels: piecewise constant")
class ArgmaxOneHot(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(F.one_hot(y.argmax(1), 4).permute(0, 3, 1, 2).to(y))


@case("order", "right", "sorted values over space (each is a pixel's value): derivative exists and is AD's")
class SortedValues(Base):
    tol = 1e-2  # pixels change places within +-1e-4: use h=1e-6 for a sharp right_j

    def forward(self, x):
        y = self.a(x)
        return self.out(y.flatten(2).sort(-1).values.view_as(y))


@case(
    "order",
    "either",
    "top-50 sparse code scattered back: units enter and leave with a jump, AD's value holds between",
)
class TopkSparse(Base):
    def forward(self, x):
        y = self.a(x).flatten(1)
        top = y.topk(50, dim=1)
        return self.out(torch.zeros_like(y).scatter(1, top.indices, top.values).view(-1, 4, 28, 28))


@case("order", "right", "max-unpooling with indices kept: argmax steers, values pass")
class Unpool(Base):
    def setup(self):
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.out(self.unpool(*self.pool(self.a(x))))


@case(
    "order",
    "right",
    "hard mixture of experts: each image takes one expert, rows are gathered and scattered back",
)
class HardExperts(Base):
    def setup(self):
        self.experts = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.gate = nn.Linear(4, 3)

    def forward(self, x):
        y = self.a(x)
        pick = self.gate(y.mean(dim=(2, 3))).argmax(1)
        z = torch.zeros_like(y)
        for i, expert in enumerate(self.experts):
            rows = (pick == i).nonzero()[:, 0]
            if len(rows):
                z.index_add_(0, rows, expert(y[rows]))
        return self.out(z.tanh())


# ---------------------------------------------------------------- weights that are not leaves


@case(
    "weight norm",
    "right",
    "old weight_norm: weight is a non-leaf attribute (deepcopy raises after a forward with grad)",
)
class OldWeightNorm(Base):
    def setup(self):
        self.a = nn.utils.weight_norm(self.a)
        self.a.weight_g.data *= 1.5

    def forward(self, x):
        return self.out(self.a(x).tanh())


@case(
    "weight norm",
    "right",
    "weight computed in __init__ from two factors and kept as a plain non-leaf tensor (deepcopy raises)",
)
class NonLeaf(Base):
    def setup(self):
        self.u, self.v = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3, 75) * 0.1)
        self.w = (self.u @ self.v).view(4, 3, 5, 5)

    def forward(self, x):
        return self.out(F.conv2d(x, self.w.to(x.dtype)).tanh())


@case(
    "weight norm",
    "refuse",
    "old spectral_norm kept in train() by its own override: power iteration moves in forward",
)
class MovingSpectral(Base):
    def setup(self):
        self.c = nn.utils.spectral_norm(self.c)

    def train(self, mode=True):
        super().train(mode)
        self.c.train(True)
        return self

    def forward(self, x):
        return self.out(self.c(self.a(x)))


@case(
    "parametrization",
    "right",
    "new weight_norm and orthogonal parametrizations (class of the layer is replaced)",
)
class Parametrized(Base):
    def setup(self):
        parametrizations.weight_norm(self.a)
        parametrizations.orthogonal(self.out)

    def forward(self, x):
        return self.out(self.a(x).tanh())


@case("parametrization", "right", "Dale's law by a parametrization (abs with signs), on `out` itself")
class Dale(Base):
    class Signs(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("sign", torch.tensor([1, 1, 1, -1], dtype=torch.int8)[None, :, None, None])

        def forward(self, w):
            return w.abs() * self.sign

    def setup(self):
        parametrize.register_parametrization(self.out, "weight", self.Signs())

    def forward(self, x):
        return self.out(self.a(x).relu())


@case("parametrization", "refuse", "a parametrization that draws a noisy weight at each access")
class NoisyParametrization(Base):
    class Noise(nn.Module):
        def forward(self, w):
            return w + 0.01 * torch.randn_like(w)

    def setup(self):
        parametrize.register_parametrization(self.a, "weight", self.Noise())

    def forward(self, x):
        return self.out(self.a(x).tanh())

    def clean(self, x):
        return self.out(F.conv2d(x, self.a.parametrizations.weight.original, self.a.bias).tanh())


# ---------------------------------------------------------------- shared layers


@case("shared", "right", "one convolution unrolled 3 times, in-place relu shared by all steps")
class Unrolled(Base):
    def setup(self):
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.act(self.a(x))
        for _ in range(3):
            y = self.act(self.c(y) + y)
        return self.out(y)


@case("shared", "either", "`out` itself is called twice: right_j is the last call's (call=0: the first)")
class OutTwice(Base):
    def forward(self, x):
        return self.out(self.out(self.a(x).tanh()).tanh())


@case("shared", "right", "the same layer under two names (`readout` and `out`) and tied, transposed weights")
class TwoNames(Base):
    def setup(self):
        self.back = nn.ConvTranspose2d(4, 3, 5, bias=False)
        self.back.weight = self.a.weight
        self.readout = self.out

    def forward(self, x):
        return self.readout(self.a(self.back(self.a(x).tanh())))


@case("shared", "either", "`out` is called by its forward, so hooks never fire")
class HooklessOut(Base):
    def forward(self, x):
        return self.out.forward(self.a(x).tanh())

    def clean(self, x):
        return self.out(self.a(x).tanh())


# ---------------------------------------------------------------- outputs that are not tensors


@case("output", "right", "the network returns a dict with None and a string; `out` is an ordinary layer")
class DictNetwork(Base):
    def forward(self, x):
        y = self.out(self.a(x).tanh())
        return OrderedDict(logits=y.mean(dim=(2, 3)), loss=None, name="net")


@case("output", "either", "`out` is a GRU: (sequence, state); right_j is the first tensor's")
class GruOut(Base):
    def setup(self):
        self.out = nn.GRU(4, 5, batch_first=True)

    def forward(self, x):
        sequence, state = self.out(self.a(x).mean(2).transpose(1, 2))
        return state


@case("output", "either", "`out` returns a dict of feature maps; right_j is the first tensor's")
class DictOut(Base):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Conv2d(4, 4, 1)
            self.q = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return {"p": self.p(x), "q": self.q(x)}

    def setup(self):
        self.out = self.Heads()

    def forward(self, x):
        return self.out(self.a(x).tanh())["p"]


@case(
    "output",
    "right",
    "forward raises after `out` (early-exit recipe); the exception is swallowed one level up",
)
class EarlyExit(Base):
    class Stop(Exception):
        pass

    def body(self, x):
        self.out(self.a(x).tanh())
        raise self.Stop

    def forward(self, x):
        try:
            self.body(x)
        except self.Stop:
            return


# ---------------------------------------------------------------- autograd used inside


@case(
    "inner autograd",
    "either",
    "complex-cell energy by a gradient of a potential: torch.autograd.grad with the input detached",
)
class InnerGradient(Base):
    def forward(self, x):
        with torch.enable_grad():
            z = x.detach().requires_grad_()
            y = self.a(z)
            (g,) = torch.autograd.grad((y.square() + y.sin()).sum(), z)
        return self.out(self.a(g).detach().tanh())

    def clean(self, x):
        y = self.a(x)
        g = F.conv_transpose2d(2 * y + y.cos(), self.a.weight)
        return self.out(self.a(g).tanh())


@case(
    "inner autograd", "either", "sparse coding: 5 gradient steps on a code, each by autograd.grad from a leaf"
)
class InnerDescent(Base):
    def forward(self, x):
        y = self.a(x)
        with torch.enable_grad():
            z = torch.zeros_like(y).requires_grad_()
            for _ in range(5):
                energy = (z - y).square().sum() / 2 + (z**4).sum()
                (g,) = torch.autograd.grad(energy, z)
                z = (z - 0.1 * g).detach().requires_grad_()
        return self.out(z.detach())

    def clean(self, x):
        y = self.a(x)
        z = torch.zeros_like(y)
        for _ in range(5):
            z = z - 0.1 * (z - y + 4 * z**3)
        return self.out(z)


@case(
    "inner autograd", "either", "torch.func.jvp inside forward: nested in the tool's own forward-mode level"
)
class InnerJvp(Base):
    def forward(self, x):
        y, t = torch.func.jvp(lambda z: self.a(z).tanh(), (x,), (x.roll(1, -1) - x,))
        return self.out(y + t)

    def clean(self, x):
        y = self.a(x).tanh()
        return self.out(y + (1 - y * y) * F.conv2d(x.roll(1, -1) - x, self.a.weight))


@case("inner autograd", "either", "its own fwAD dual level inside forward (levels may not nest)")
class InnerDual(Base):
    def forward(self, x):
        import torch.autograd.forward_ad as fwAD

        with fwAD.dual_level():
            dual = fwAD.make_dual(x.detach(), torch.ones_like(x))
            y, t = fwAD.unpack_dual(self.a(dual).tanh())
            t = torch.zeros_like(y) if t is None else t
        return self.out(y + t)

    def clean(self, x):
        y = self.a(x).tanh()
        return self.out(y + (1 - y * y) * self.a.weight.sum(dim=(1, 2, 3))[:, None, None])


# ---------------------------------------------------------------- hooks of the user's


@case("pre-hook", "right", "a forward pre-hook on the network takes the mean image out and squares")
class PreHook(Base):
    def setup(self):
        self.register_forward_pre_hook(
            lambda module, args: ((args[0] - args[0].mean(dim=(1, 2, 3), keepdim=True)).pow(2),)
        )

    def forward(self, x):
        return self.out(self.a(x).tanh())


@case(
    "pre-hook",
    "right",
    "a pre-hook on `out` changes its argument in place, and a closure holds the uncopied network's scale",
)
class PreHookInPlace(Base):
    def setup(self):
        scale = self.scale = nn.Parameter(torch.rand(4, 1, 1))
        self.out.register_forward_pre_hook(lambda module, args: (args[0].mul_(scale.detach().to(args[0])),))

    def forward(self, x):
        y = self.a(x).tanh()
        return self.out(y) + y


@case(
    "output hook",
    "right",
    "a hook of the user's on `out` halves and shifts its output (returned): all later readers see it",
)
class OutputHook(Base):
    def setup(self):
        self.out.register_forward_hook(lambda module, args, output: output.tanh() * 0.5)

    def forward(self, x):
        return self.out(self.a(x))


@case("output hook", "right", "a hook on `a` changes its output in place and returns nothing")
class OutputHookInPlace(Base):
    def setup(self):
        self.a.register_forward_hook(self.rectify)

    @staticmethod
    def rectify(module, args, output):
        output.clamp_(min=0)

    def forward(self, x):
        y = self.a(x)
        return self.out(y + self.c(y))


@case("output hook", "refuse", "a hook that adds noise to the output of `out`")
class NoisyHook(Base):
    def setup(self):
        self.noise = 0.05
        self.out.register_forward_hook(
            lambda module, args, output: output + self.noise * torch.randn_like(output)
        )

    def forward(self, x):
        return self.out(self.a(x).tanh())

    def clean(self, x):
        self.noise = 0.0
        return self.out(self.a(x).tanh())


# ---------------------------------------------------------------- checkpoint, script


@case("checkpoint", "right", "torch.utils.checkpoint, not reentrant")
class CheckpointNew(Base):
    def forward(self, x):
        return self.out(checkpoint(lambda z: self.c(self.a(z).tanh()), x, use_reentrant=False))


@case("checkpoint", "either", "reentrant checkpoint is a Function without jvp")
class CheckpointOld(Base):
    def forward(self, x):
        return self.out(checkpoint(lambda z: self.c(self.a(z).tanh()), x, use_reentrant=True))


@case(
    "checkpoint",
    "either",
    "`out` is inside the checkpointed part: its hook fires within no_grad or again in recomputation",
)
class CheckpointedOut(Base):
    def forward(self, x):
        return checkpoint(lambda z: self.out(self.a(z).tanh()), x, use_reentrant=True).mean(dim=(2, 3))


@case("script", "right", "a scripted trunk before an ordinary `out`")
class ScriptTrunk(Base):
    class Trunk(nn.Module):
        def __init__(self, a):
            super().__init__()
            self.a = a

        def forward(self, x):
            y = self.a(x)
            for _ in range(2):
                y = torch.tanh(y) * 1.5
            return y

    def setup(self):
        self.a = torch.jit.script(self.Trunk(self.a))

    def forward(self, x):
        return self.out(self.a(x))


@case("script", "either", "`out` is itself a ScriptModule: register_forward_hook raises")
class ScriptOut(Base):
    def setup(self):
        self.out = torch.jit.script(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softplus()))

    def forward(self, x):
        return self.out(self.a(x))

    @staticmethod
    def doubled(network):  # ScriptModules take no hooks: the same layers, unscripted
        eager = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softplus())
        eager.load_state_dict(network.out.state_dict())
        network.out = eager
        return network.double()


@case("script", "right", "a traced trunk (constants baked in)")
class TracedTrunk(Base):
    def setup(self):
        self.a = torch.jit.trace(nn.Sequential(self.a, nn.GELU()), torch.zeros(2, 3, 32, 32))

    def forward(self, x):
        return self.out(self.a(x))


# ---------------------------------------------------------------- float64 buffers, devices


@case(
    "float64", "right", "float64 lens table: the product is float64, cast back; casting it to float32 is fine"
)
class DoubleBuffer(Base):
    def setup(self):
        self.register_buffer("lens", torch.linspace(0, 2, 28, dtype=torch.float64).sin())

    def forward(self, x):
        return self.out((self.a(x) * self.lens).to(self.out.weight.dtype).tanh())


@case(
    "float64",
    "right",
    "detour in the buffer's dtype, for cancellation: cast to float32, the values are noise (the derivative is not)",
)
class DoubleDetour(Base):
    def setup(self):
        self.register_buffer("offset", torch.tensor(1e6, dtype=torch.float64))

    def forward(self, x):
        y = self.a(x).to(self.offset.dtype) + self.offset
        return self.out((y * y - self.offset**2).mul(1e-6).to(self.out.weight.dtype))


@case(
    "float64",
    "right",
    "float32 noise floor: 1e4 is added and subtracted, values are rounded at 1e-3 though the derivative is fine",
)
class BigOffset(Base):
    def forward(self, x):
        return self.out(((self.a(x) + 1e4) - 1e4).tanh())


@case("device", "right", "moves its activations to .cpu() and back in forward")
class ViaCpu(Base):
    def forward(self, x):
        y = self.a(x)
        z = y.cpu()
        z = torch.cumsum(z, -1)
        return self.out(z.to(y.device).tanh())


@case("device", "either", "torch.zeros/ones without device in forward: fails on a GPU, float32 under float64")
class ZerosOnCpu(Base):
    def forward(self, x):
        y = self.a(x)
        h = torch.zeros(len(y), 4, 28, 28)
        for _ in range(2):
            h = torch.tanh(y + self.c(h.to(y.dtype)))
        return self.out(h)


@case(
    "device",
    "either",
    "everything is forced to the CPU: weights by .cpu() in each forward, output on the CPU",
)
class ForcedCpu(Base):
    def forward(self, x):
        self.cpu()
        return self.out(self.a(x.cpu()).tanh())


# ---------------------------------------------------------------- modes


@case(
    "mode",
    "either",
    "another network with grad enabled (fast path under no_grad); right_j: under no_grad, as users run it",
)
class GradEnabled(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(y.tanh() if torch.is_grad_enabled() else y.clamp(-0.3, 0.3))

    def clean(self, x):
        return self.out(self.a(x).clamp(-0.3, 0.3))


@case(
    "mode",
    "either",
    "another network once its weights are frozen; right_j: as the user built it (weights not frozen)",
)
class FrozenBranch(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(self.c(y) if self.a.weight.requires_grad else 2 * y.tanh())

    def clean(self, x):
        return self.out(self.c(self.a(x)))


@case("mode", "right", "self.training chooses: auxiliary noise in training only")
class TrainingBranch(Base):
    def forward(self, x):
        y = self.a(x)
        if self.training:
            y = y + torch.randn_like(y)
        return self.out(y.tanh())

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case("mode", "either", "looks at its input: x.requires_grad or a tangent on it changes what is computed")
class LooksAtInput(Base):
    def forward(self, x):
        import torch.autograd.forward_ad as fwAD

        y = self.a(x)
        dual = fwAD._current_level >= 0 and fwAD.unpack_dual(x).tangent is not None
        return self.out(y.square() if x.requires_grad or dual else y.tanh())

    def clean(self, x):
        return self.out(self.a(x).tanh())


@case(
    "mode", "right", "dtype-dependent epsilon (finfo) under a square root; float32 and float64 agree to 1e-3"
)
class Epsilon(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out((y.square() + torch.finfo(y.dtype).eps).sqrt() + y)

    def clean(self, x):
        y = self.a(x)
        return self.out((y.square() + torch.finfo(torch.float32).eps).sqrt() + y)


# ---------------------------------------------------------------- the input is changed


@case(
    "mutates input",
    "right",
    "normalises its input in place (sub_, div_): a batch used again is another image",
)
class NormalisesInPlace(Base):
    def forward(self, x):
        x.sub_(x.mean(dim=(1, 2, 3), keepdim=True)).div_(0.5)
        return self.out(self.a(x).tanh())

    def clean(self, x):
        return self.out(self.a((x - x.mean(dim=(1, 2, 3), keepdim=True)) / 0.5).tanh())


@case("mutates input", "right", "paints a grey border on its input by index assignment, and rectifies it")
class Border(Base):
    def forward(self, x):
        x[..., :4, :] = 0
        x[..., -4:] = 0.25
        return self.out(self.a(F.relu_(x)).tanh())

    def clean(self, x):
        keep = torch.ones(32, 32, dtype=x.dtype)
        keep[:4], keep[:, -4:] = 0, 0
        grey = torch.zeros(32, 32, dtype=x.dtype)
        grey[:, -4:] = 0.25
        return self.out(self.a(torch.relu(x * keep + grey)).tanh())


@case(
    "mutates input", "either", "through .data: the value of the input changes, the tangent is the old one's"
)
class DataBorder(Base):
    def forward(self, x):
        x.data[..., 8:24, 8:24] *= 0.5
        return self.out(self.a(x).tanh())

    def clean(self, x):
        keep = torch.ones(32, 32, dtype=x.dtype)
        keep[8:24, 8:24] = 0.5
        return self.out(self.a(x * keep).tanh())


# ---------------------------------------------------------------- singular derivatives


@case(
    "singular",
    "right",
    "where(y > 0, y ** 1.5, 0): NaN in the branch not taken (forward mode drops it, reverse gives NaN)",
)
class WherePower(Base):
    def forward(self, x):
        y = self.a(x)
        return self.out(torch.where(y > 0, y.pow(1.5), 0))

    def clean(self, x):
        y = self.a(x).clamp(min=0)
        return self.out(y * y.sqrt())


@case(
    "singular",
    "either",
    "eigenvalues of each image's channel Gram matrix with a repeated eigenvalue 0 (vectors not unique)",
)
class GramEigen(Base):
    def setup(self):
        self.out = nn.Linear(6, 4)

    def forward(self, x):
        y = self.a(x).flatten(2)
        y = torch.cat([y, y[:, :2]], 1)  # rank 4 of 6
        values, vectors = torch.linalg.eigh(y @ y.transpose(1, 2) / 784)
        return self.out(values)


# ---------------------------------------------------------------- right values


def _normalised(image, mean, std):
    mean, std = (torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1, 1) for v in (mean, std))
    return (image.to(torch.float64) - mean) / std


def _first_tensor(value):
    while not torch.is_tensor(value):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value


def _value(cls, image, call=-1):
    """Activation of `out` in float64 for a batch of one, from a fresh network."""
    state = torch.get_rng_state()
    try:
        network = cls()
        network = cls.doubled(network)
        network.eval()
        kept = []
        handle = network.out.register_forward_hook(
            lambda module, args, output: kept.append(_first_tensor(output).detach().clone())
        )
        with torch.no_grad():
            forward = network.clean if cls.clean is not None else network
            forward(image.clone())
        handle.remove()
    finally:
        torch.set_rng_state(state)
    value = kept[call]
    assert value.dtype in (torch.float64, torch.complex128), (cls, value.dtype)
    return value


def _central(cls, images, theta, mean, std, h, call):
    result = []
    for t in torch.as_tensor(theta, dtype=torch.float64).reshape(-1):
        plus, minus = (_value(cls, _normalised(images(t[None] + s * h), mean, std), call) for s in (1, -1))
        result.append((((plus - minus) / (2 * h)).abs() ** 2).sum())
    return torch.stack(result)


def right_j(cls, images, theta, mean=0.0, std=1.0, h=1e-4, call=-1):
    """||d out / d theta||^2 for each theta (float64, shape (N,)), or None where there is no right value."""
    return None if cls.verdict == "refuse" else _central(cls, images, theta, mean, std, h, call)


def noiseless_j(cls, images, theta, mean=0.0, std=1.0, h=1e-4):
    """The value without the noise, for random classes marked `refuse`; None for the others."""
    return (
        _central(cls, images, theta, mean, std, h, -1)
        if cls.verdict == "refuse" and cls.clean is not None
        else None
    )


def jacobian(cls, image, mean=0.0, std=1.0, h=1e-4, call=-1):
    """d out / d image (out.numel(), 3072) in float64 by central differences, image (1, 3, 32, 32) before normalising.

    Dense, for `input` noise: J' v and solves against it. One network per column pair, about half a minute.
    """
    columns = []
    for i in range(image.numel()):
        step = torch.zeros(image.numel(), dtype=torch.float64)
        step[i] = h
        step = step.view_as(image)
        plus, minus = (_value(cls, _normalised(image + s * step, mean, std), call) for s in (1, -1))
        columns.append(((plus - minus) / (2 * h)).flatten())
    return torch.stack(columns, 1)


def gabors(theta):
    """Gabors of orientation theta (degrees), values in 0..1, (N,) -> (N, 3, 32, 32) float64."""
    r = (torch.arange(32, dtype=torch.float64) + 0.5) / 32 - 0.5
    y, x = torch.meshgrid(r, r, indexing="ij")
    angle = torch.deg2rad(theta.to(torch.float64))[:, None, None]
    wave = torch.cos(2 * math.pi * 4 * (x * angle.cos() + y * angle.sin()) + math.pi / 6)
    image = 0.5 + 0.4 * wave * torch.exp(-(x**2 + y**2) / (2 * 0.2**2))
    return image[:, None].expand(-1, 3, -1, -1).contiguous()
