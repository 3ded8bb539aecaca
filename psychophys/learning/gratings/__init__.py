"""Experiments on worlds of gratings: ``supervised`` and ``rearing``."""
