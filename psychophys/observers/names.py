"""Which models are asked for: names are checked here, filters are expanded, files of names are read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import timm

import psychophys.observers.classics  # noqa: F401  # Registers them with timm.
from psychophys.base.errors import UsageError, unknown
from psychophys.observers.arithmetic import ARITHMETIC
from psychophys.observers.checkpoints import find_checkpoints
from psychophys.observers.devices import DTYPES
from psychophys.observers.learned import is_learned

DEFAULT_MODEL = "tf_efficientnet_lite0"
WEIGHTS = ("pretrained", "random", "shuffled")
CONTROLS = ("random", "shuffled")
"""Weights that a seed decides: what a trained network is compared with."""
MOST_SEEDS = 10_000
_SOURCES = ("hf-hub:", "hf_hub:", "local-dir:")


@dataclass(frozen=True)
class Job:
    """One observer that is asked for: the arguments of :func:`psychophys.load_observer`.

    Raises
    ------
    UsageError
        When it is made, for a name that is not known or weights that cannot be had.
    """

    model: str
    weights: str = "pretrained"
    seed: int = 0
    checkpoint: str | None = None
    dtype: str = "float32"
    arithmetic: str = "exact"
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise unknown("weights", self.weights, WEIGHTS)
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
        ARITHMETIC.find(self.arithmetic)
        for seed in (self.seed, self.noise_seed or 0):
            if not -(2**63) <= seed < 2**63:
                raise UsageError(f"seed {seed} cannot be used", "Give an integer of 64 bits, such as 0.")
        if self.weights == "random" and is_learned(self.model):
            raise UsageError(
                f"untrained networks of {self.model} cannot be drawn",
                "Shuffle its weights: --weights shuffled, or --controls shuffled.",
            )
        _check_model(self.model)
        if is_learned(self.model) and self.checkpoint is None:
            raise UsageError(
                f"model {self.model} without a checkpoint",
                "Add --checkpoint FILE, written by `psychophys learn`.",
            )

    @property
    def label(self) -> str:
        """The observer in a few words."""
        drawn = self.weights in CONTROLS
        words = [self.model]
        words += [Path(self.checkpoint).name] if self.checkpoint else []
        words += [self.weights] if drawn or not self.checkpoint else []
        words += [str(self.seed)] if drawn and self.seed else []
        return " ".join(words)


def make_jobs(
    models: Sequence[str],
    weights: Sequence[str] = ("pretrained",),
    *,
    seed: int = 0,
    seeds: int = 1,
    checkpoint: str | Path | None = None,
    dtype: str = "float32",
    arithmetic: str = "exact",
    noise_seed: int | None = None,
) -> list[Job]:
    """Every model with every weights variant, every checkpoint and, where one decides, every seed.

    Parameters
    ----------
    seed, seeds
        The first seed, and how many that follow each other.
    checkpoint
        A file, or a glob pattern for several, which are put in the order of their steps.

    Raises
    ------
    UsageError
        For a name that is not known, a pattern that matches no file, or no seed.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"{seeds} seeds", f"Give 1 to {MOST_SEEDS}.")
    files = [None] if checkpoint is None else find_checkpoints(checkpoint)
    jobs = [
        Job(model, variant, drawn, file, dtype, arithmetic, noise_seed)
        for model in models
        for variant in weights
        for file in files
        for drawn in range(seed, seed + (seeds if variant in CONTROLS else 1))
    ]
    if seeds > 1 and not set(weights) & set(CONTROLS):
        raise UsageError(
            f"{seeds} seeds of {', '.join(weights)} weights, which no seed decides",
            "Add --weights random, or leave out --seeds.",
        )
    return jobs


def _check_model(model: str) -> None:
    """Raise :class:`UsageError` unless ``model`` is a known name or a known kind of source."""
    if not is_source(model):
        _check_timm_name(model)
        return
    folder = model.removeprefix("local-dir:")
    if folder != model and not Path(folder, "config.json").is_file():
        raise UsageError(
            f"local-dir {folder!r} has no config.json",
            "Give a folder written by timm's save_for_hf: config.json and the weights.",
        )


@functools.cache  # A zoo asks for a model with several weights; what is unknown is not kept.
def _check_timm_name(model: str) -> None:
    architecture = model.partition(".")[0]
    hint = "See `psychophys models`."
    if not timm.is_model(architecture):
        raise unknown("model", model, timm.list_models(), hint)
    tags = timm.list_pretrained(architecture)
    if "." in model and model not in tags:
        raise unknown("tag in model", model, tags, hint)


def is_source(model: str) -> bool:
    """Whether the model is named by where it is from (``hf-hub:``, ``learned``), not by timm's name."""
    return model.startswith(_SOURCES) or is_learned(model)


def is_embedded(model: str) -> bool:
    """Whether the model's weights come with the package."""
    return model == DEFAULT_MODEL


def find_models(
    patterns: Sequence[str], *, pretrained: bool = False, exclude: Sequence[str] = ()
) -> list[str]:
    """Expand names and timm filters to models, each once, in the order of the request.

    Parameters
    ----------
    patterns
        Names, filters with ``*`` and ``?``, or ``hf-hub:`` and ``local-dir:`` sources. A filter
        with a dot is one of tagged names (``resnet50.*``).
    pretrained
        Take every set of pretrained weights of an architecture (the tagged names), not its default.
    exclude
        Filters of names to leave out, with or without their tags.

    Raises
    ------
    UsageError
        For an empty name, or a filter that matches nothing. Others are checked when they are asked for: see
        :class:`Job`.
    """
    if not all(pattern.strip() for pattern in patterns):
        raise UsageError("a model without a name", "Give a name or a filter, such as 'resnet*'.")
    found: list[str] = []
    for pattern in patterns:
        if is_source(pattern) or not _is_filter(pattern):
            tags = timm.list_pretrained(pattern) if pretrained and timm.is_model(pattern) else []
            found += tags or [pattern]
            continue
        names = timm.list_models(pattern, pretrained=pretrained or "." in pattern)
        if not names:
            raise unknown("model", pattern, timm.list_models(), "See `psychophys models`.")
        found += names
    left_out = {name for word in exclude for name in _matching(word, found)}
    kept = [name for name in dict.fromkeys(found) if name not in left_out]
    if not kept:
        raise UsageError("no model is left to measure", "Give fewer --exclude filters.")
    return kept


def _is_filter(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


def _matching(word: str, names: Sequence[str]) -> list[str]:
    return [n for n in names if fnmatchcase(n, word) or fnmatchcase(n.partition(".")[0], word)]


def read_names(path: str | Path) -> list[str]:
    """Names or filters from a text file, one a line; ``#`` starts a comment.

    Raises
    ------
    UsageError
        If the file cannot be read or names nothing.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"models file {str(path)!r} cannot be read: {error}", "Give a text file.") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise UsageError(f"models file {str(path)!r} names no model", "Write one name or filter a line.")
    return names


def has_pretrained(model: str) -> bool:
    """Whether there are pretrained weights of a model."""
    return is_embedded(model) or is_source(model) or bool(timm.is_model_pretrained(model))
