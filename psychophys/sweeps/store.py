"""The directory of a sweep: one Parquet file a measurement, a note for each failure, locks.

::

    results/
      resnet18--random-0123456789abcdef.parquet
      _sweep/failed/0123456789abcdef.json
      _sweep/locks

Names beginning with an underscore are passed over by pandas, pyarrow and Spark, so that the
directory reads as one table. A file of results appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

from psychophys.base.errors import PsychophysError, UsageError
from psychophys.base.files import write_atomically
from psychophys.results.thresholds import read
from psychophys.sweeps.tasks import Outcome, Task

try:
    import fcntl
except ImportError:  # Windows: two sweeps may then measure the same model, and the last one wins.
    fcntl = None  # type: ignore[assignment]


class Store:
    """Results, failures and claims in one directory, which several sweeps may share.

    Parameters
    ----------
    folder
        Need not be there to be asked what is done; :meth:`prepare` makes it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.failures = self.folder / "_sweep" / "failed"
        self._locks: int | None = None

    def prepare(self) -> None:
        """Make the directory; :class:`UsageError` if results cannot be kept there."""
        if self._locks is not None:
            return
        try:
            self.failures.mkdir(parents=True, exist_ok=True)
            self._locks = os.open(self.folder / "_sweep" / "locks", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(
                f"results cannot be kept in {str(self.folder)!r}: {error.strerror}",
                "Name another directory.",
            ) from error

    def close(self) -> None:
        """Give back all claims."""
        if self._locks is not None:
            os.close(self._locks)
            self._locks = None

    def path(self, task: Task) -> Path:
        """Where the results of a task lie."""
        return self.folder / file_name(task)

    def is_done(self, task: Task) -> bool:
        """Whether there are results. A file that cannot be read does not count."""
        path = self.path(task)
        if not path.exists():
            return False
        try:
            return len(read(path)) > 0
        except PsychophysError:
            return False

    def failure(self, task: Task) -> dict[str, Any] | None:
        """The note on a task's last failure."""
        return _read_note(self._note(task))

    def claim(self, task: Task) -> bool:
        """Take a task for this process; false if a process that still lives has it.

        The claim is a lock that the system gives back when the process ends, however it ends.
        """
        if fcntl is None or self._locks is None:
            return True
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(task))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # A file system without locks.
            return True
        # What a killed process left unfinished.
        for leftover in self.folder.glob(f".{file_name(task)}.*"):
            leftover.unlink(missing_ok=True)
        return True

    def release(self, task: Task) -> None:
        """Give a claim back."""
        if fcntl is not None and self._locks is not None:
            try:
                fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _offset(task))
            except OSError:
                return

    def write(self, outcome: Outcome) -> None:
        """Keep what came of a task."""
        note = self._note(outcome.task)
        if outcome.results is not None:
            outcome.results.write(self.path(outcome.task))
            note.unlink(missing_ok=True)
            return
        job = outcome.job
        record = {
            "model": job.model,
            "weights": job.weights,
            "seed": job.seed,
            "checkpoint": job.checkpoint,
            "error": str(outcome.error),
            "log": outcome.log,
            "seconds": round(outcome.seconds, 3),
            "failed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": socket.gethostname(),
        }
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(note, lambda stream: stream.write(text.encode()))

    def _note(self, task: Task) -> Path:
        return self.failures / f"{task.key}.json"


def read_failures(folder: str | Path) -> list[dict[str, Any]]:
    """The notes on the failures in a sweep's directory, by model."""
    notes = [_read_note(path) for path in Path(folder, "_sweep", "failed").glob("*.json")]
    return sorted((n for n in notes if n is not None), key=lambda n: (n["model"], n["weights"], n["seed"]))


def _read_note(path: Path) -> dict[str, Any] | None:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # A damaged note does not count.
    return note if isinstance(note, dict) and note.keys() >= {"model", "weights", "seed", "error"} else None


def file_name(task: Task) -> str:
    """Name of a task's results: readable first, unique at the end."""
    model = re.sub(r"[^A-Za-z0-9._-]+", "_", task.job.model).strip("._")[-80:]
    return f"{model}--{task.job.weights}-{task.key}.parquet"


def _offset(task: Task) -> int:
    """The byte of the lock file that stands for a task."""
    return int(task.key, 16) >> 2
