"""Observers: a model, its weights and preprocessing, and its layers."""
