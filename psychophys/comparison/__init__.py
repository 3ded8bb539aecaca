"""Sensitivity against priors of natural images, and against people."""
