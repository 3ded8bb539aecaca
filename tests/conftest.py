"""Two test processes share the cores: one PyTorch thread each, in what they start too. None asks a hub."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
