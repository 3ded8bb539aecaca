"""Code blocks of a page: what they are, whether they run here, and what they should print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise, zip_longest

FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?(?P<indent> *)```(?P<language>\w+)\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"^([+<>=-]*)(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(\D*)$")
BARS = "▁▂▃▄▅▆▇█"
LEVELS = 1
"""Of a bar, by which rounding may change it."""


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes
    ----------
    not_run
        Why it is not run here; empty where it is.
    output
        What follows it and should be printed.
    """

    language: str
    body: str
    not_run: str = ""
    output: str = ""

    @property
    def name(self) -> str:
        """For a test's name."""
        return self.body.splitlines()[0 if self.language == "bash" else -1][:60]


def blocks_of(page: str) -> list[Block]:
    """Blocks of bash and Python, in their order."""
    found = list(FENCE.finditer(page))
    # There may be words between a command and its output, but no heading.
    follows = {b.start(): a for a, b in pairwise(found) if "\n#" not in page[a.end() : b.start()]}
    outputs = {}
    for match in found:
        before = follows.get(match.start())
        if match["language"] == "text" and not _note(match, "recorded"):
            if before is None or before["language"] == "text":
                raise ValueError(f"output without a date and a command:\n{match['body']}")
            outputs[before.start()] = match["body"]
    return [
        Block(m["language"], m["body"], _note(m, "not run"), outputs.get(m.start(), ""))
        for m in found
        if m["language"] in ("bash", "python")
    ]


def _note(match: re.Match[str], kind: str) -> str:
    """What a comment before a block says."""
    note = match["note"] or ""
    return note.removeprefix(kind + ": ") if note.startswith(kind + ": ") else _dated(note, kind)


def _dated(note: str, kind: str) -> str:
    return note if kind == "recorded" and re.match(r"recorded \d{4}-\d\d-\d\d: .", note) else ""


PROGRESS = re.compile(r".+: [\d,]+ of [\d,]+ \w+(, about \d+ s left)?$")
"""Printed every 30 s, and so by slow machines alone."""


def differences(expected: str, printed: str, tolerance: float = 0.02) -> list[str]:
    """What differs between an output in a page and one that was printed.

    A line ``...`` stands for any lines. Spaces do not matter, numbers agree within the tolerance or one unit
    of their last digit.
    """
    given = [line for line in printed.splitlines() if line.strip() and not PROGRESS.match(line)]
    place, skipping, wrong = 0, False, []
    for line in filter(str.strip, expected.splitlines()):
        if line.strip() == "...":
            skipping = True
            continue
        rest = given[place:]
        at = next((i for i, other in enumerate(rest) if _alike(line, other, tolerance)), None)
        if at is None or (at and not skipping):
            wrong.append(f"{line!r} is not {rest[0] if rest else 'there'!r}")
            place += 1
        else:
            place += at + 1
        skipping = False
    if not skipping:
        wrong += [f"{line!r} is not in the page" for line in given[place:]]
    return wrong


def _alike(line: str, other: str, tolerance: float) -> bool:
    pairs = zip_longest(line.split(), other.split(), fillvalue="")
    return all(_token_alike(a, b, tolerance) for a, b in pairs)


def _token_alike(a: str, b: str, tolerance: float) -> bool:
    if a == b:
        return True
    if a and b and set(a + b) <= set(BARS):
        return len(a) == len(b) and all(
            abs(BARS.index(x) - BARS.index(y)) <= LEVELS for x, y in zip(a, b, strict=True)
        )
    mine, other = NUMBER.match(a.strip("(),;")), NUMBER.match(b.strip("(),;"))
    if not (mine and other and mine[3] == other[3]):
        return False
    signs = [-1.0 if "-" in match[1] else 1.0 for match in (mine, other)]
    x, y = (s * float(m[2].replace(",", "")) for s, m in zip(signs, (mine, other), strict=True))
    last_digit = 10.0 ** -len(mine[2].partition("e")[0].partition(".")[2])
    return abs(x - y) <= max(tolerance * abs(x), 1.001 * last_digit if "." in mine[2] else 0)
