"""What the server that workers are forked from imports, once and without looking for garbage in it."""

from __future__ import annotations

import gc

gc.disable()

import psychophys.sweeps.engines.processes  # noqa: E402, F401

gc.freeze()  # What is never looked at is never copied into a worker's memory, either.
gc.enable()
