"""Experiments on small images: crops and pixels of photographs, and worlds with a planted prior."""
