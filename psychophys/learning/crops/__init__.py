"""Experiments on crops of photographs: ``autoencoder`` and ``classifier``."""
