"""What runs a sweep: this process, local processes, or a Ray cluster."""

from psychophys.sweeps.engines.base import Engine, Serial
from psychophys.sweeps.engines.processes import Processes
from psychophys.sweeps.engines.ray import Ray

ENGINES = ("processes", "serial", "ray")

__all__ = ["ENGINES", "Engine", "Processes", "Ray", "Serial"]
