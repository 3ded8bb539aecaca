"""Experiments on small images: crops of photographs, and worlds with a planted prior."""
