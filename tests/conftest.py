"""Two test processes share the cores: one PyTorch thread each, in what they start too."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
