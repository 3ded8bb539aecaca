"""Units as physiologists measure them: tuning to gratings, and what it has to do with Fisher information."""
