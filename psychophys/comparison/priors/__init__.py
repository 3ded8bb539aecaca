"""Priors: how common each value of a stimulus dimension is in natural images.

Tables of densities, as :func:`psychophys.image_statistics` makes them; those that come along lie beside this
file. Numbers only, with their provenance.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from psychophys.base.errors import UsageError
from psychophys.base.registry import Registry
from psychophys.comparison.priors.literature import LITERATURE
from psychophys.comparison.priors.table import COLUMNS, Density, Prior


def _come_along() -> Iterator[Prior]:
    for file in sorted(Path(__file__).parent.glob("*.parquet")):
        yield Prior.read(file, file.stem)
    for formula in LITERATURE:
        yield formula.prior()


PRIORS = Registry("prior", _come_along, Prior, group="psychophys.priors", hint="See `psychophys priors`.")


def list_priors() -> list[Prior]:
    """The priors that come along, and those that installed packages offer."""
    return list(PRIORS.values())


def load_prior(name: str | Path) -> Prior:
    """A prior by its name (:data:`PRIORS`), or one from a file.

    Raises
    ------
    UsageError
        If there is none, or the file is not one of ours.
    """
    path = Path(name)
    if path.suffix == ".parquet" or path.exists():
        if not path.is_file():
            raise UsageError(
                f"prior {str(path)!r} is not a file", "Give one that `psychophys statistics` wrote."
            )
        return Prior.read(path)
    return PRIORS.find(str(name))


__all__ = ["COLUMNS", "PRIORS", "Density", "Prior", "list_priors", "load_prior"]
