"""Tables of named values: what comes along, and what installed packages offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar

from psychophys.base.errors import UsageError, unknown


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """By which it is found."""


T = TypeVar("T", bound=Named)


class Registry(Mapping[str, T]):
    """Values by name, in the order of their declaration.

    Parameters
    ----------
    kind
        What an entry is called in messages.
    entries
        What comes along, or a function that makes it when it is first wanted.
    of
        Type of an entry.
    group
        Entry points by which packages offer more, each under the name of what it loads; empty where they
        cannot.
    hint
        Where the names are listed.
    """

    def __init__(
        self,
        kind: str,
        entries: Iterable[T] | Callable[[], Iterable[T]],
        of: type[T],
        *,
        group: str = "",
        hint: str = "",
    ) -> None:
        self.kind, self.group, self.hint = kind, group, hint
        self._entries, self._of = entries, of
        self._loaded: dict[str, T] = {}

    @cached_property
    def own(self) -> dict[str, T]:
        """What comes along, without what packages offer."""
        entries = self._entries() if callable(self._entries) else self._entries
        named: dict[str, T] = {}
        for entry in entries:
            if entry.name in named:
                raise ValueError(f"two entries of the table are a {self.kind} called {entry.name!r}")
            named[entry.name] = entry
        return named

    @cached_property
    def _offered(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group) if self.group else ():
            if point.name in self.own or point.name in found:
                raise UsageError(
                    f"{self.kind} {point.name!r} is offered by {_package(point)}, and there is one already",
                    "Uninstall one of the two packages, or have it renamed.",
                )
            found[point.name] = point
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._offered

    def __len__(self) -> int:
        return len(self.own) + len(self._offered)

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(self._offered[name])
        return self._loaded[name]

    def _load(self, point: EntryPoint) -> T:
        """What a package offers, once it is asked for."""
        try:
            found = point.load()
        except Exception as error:
            raise UsageError(
                f"{self.kind} {point.name!r} of {_package(point)} cannot be loaded: "
                f"{type(error).__name__}: {error}",
                "Update the package, or uninstall it.",
            ) from error
        if not isinstance(found, self._of) or found.name != point.name:
            raise UsageError(
                f"{point.value} of {_package(point)} is no {self.kind} called {point.name!r}",
                "Have the package mended, or uninstall it.",
            )
        return found

    def find(self, wanted: str | T) -> T:
        """The entry of that name, or the one given: :class:`UsageError` for a name that is not known."""
        if isinstance(wanted, self._of):
            return wanted
        if not isinstance(wanted, str):
            raise UsageError(
                f"{self.kind} {str(wanted)[:60]!r} is of type {type(wanted).__name__}",
                f"Give a name or a {self._of.__name__}.",
            )
        if wanted not in self:
            raise unknown(self.kind, wanted, self, self.hint)
        return self[wanted]


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist is not None else "a package"
