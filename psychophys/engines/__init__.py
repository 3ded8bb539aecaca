"""What runs a sweep: this process, local processes, or a Ray cluster."""

from psychophys.engines.base import Engine, Serial
from psychophys.engines.processes import Processes
from psychophys.engines.ray import Ray

ENGINES = ("processes", "serial", "ray")

__all__ = ["ENGINES", "Engine", "Processes", "Ray", "Serial"]
