"""Noise models: from response and derivative to Fisher information.

``information`` says what a noise model is and divides by it, ``models`` which there are, ``pixels`` and
``empirical`` how J comes of the two whose units are not independent.
"""

from psychophys.noise.information import Domain, Noise, Option
from psychophys.noise.models import NOISE, get_noise

__all__ = ["NOISE", "Domain", "Noise", "Option", "get_noise"]
