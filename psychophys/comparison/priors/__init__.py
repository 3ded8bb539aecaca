"""Priors: how common each value of a stimulus dimension is in natural images.

Tables of densities, as :func:`psychophys.image_statistics` makes them; those that come along lie beside this
file. Numbers only, with their provenance.
"""

from psychophys.comparison.priors.table import COLUMNS, Density, Prior, list_priors, load_prior

__all__ = ["COLUMNS", "Density", "Prior", "list_priors", "load_prior"]
