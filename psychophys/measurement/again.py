"""Whether measurements that are asked for are those that a table holds already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psychophys.base.errors import PsychophysError
from psychophys.observers.learned import is_learned
from psychophys.observers.load import load
from psychophys.observers.names import Job
from psychophys.observers.observer import Observer
from psychophys.results.tables import RunTable


def made_again(held: RunTable, asked: Sequence[tuple[Job, Callable[[Observer], str]]]) -> bool:
    """Whether every run in a table is about to be made again.

    Parameters
    ----------
    asked
        The observers that are asked for, each with what gives the run id of its measurement. They are loaded,
        for a run is named by its weights, too.
    """
    missing = held.identifiers
    names = {job.model for job, _ in asked}
    models = set(held.table.column("model").unique().to_pylist())
    if len(missing) > len(asked) or not (models <= names or any(map(is_learned, names))):
        return False  # Without loading any.
    for job, identify in asked:
        if not missing:
            break
        try:
            missing = missing - {identify(load(job))}
        except PsychophysError:  # What cannot be loaded is not made again; it is said when its turn comes.
            continue
    return not missing
