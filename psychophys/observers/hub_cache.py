"""Which weights are in the cache of the model hub; PyTorch is not needed to tell."""

from __future__ import annotations

from huggingface_hub import try_to_load_from_cache

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""In the order in which timm looks for them."""


def is_cached(name: str) -> bool:
    """Whether the weights of a repository are in the cache, in the revision that is asked for."""
    repo, revision = split_revision(name)
    return any(
        isinstance(try_to_load_from_cache(repo, file, revision=revision), str) for file in WEIGHT_FILES
    )


def split_revision(name: str) -> tuple[str, str | None]:
    """``OWNER/NAME@REVISION`` taken apart."""
    repo, _, revision = name.partition("@")
    return repo, revision or None
