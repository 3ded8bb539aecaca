"""Many models: tasks, the directory that keeps what comes of them, engines, a forecast."""
