"""Noise models: from response and derivative to Fisher information."""
