"""Figures: tables in, figures out."""
