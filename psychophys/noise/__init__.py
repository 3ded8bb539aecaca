"""Noise models: from response and derivative to Fisher information.

``models`` says what a noise model is, ``table`` which there are, ``pixels`` and ``empirical`` how J comes of
the two whose units are not independent.
"""

from psychophys.noise.models import Domain, Noise, Option
from psychophys.noise.table import NOISE, get_noise

__all__ = ["NOISE", "Domain", "Noise", "Option", "get_noise"]
