"""The command `explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from psychophys.base.errors import unknown


def explain(
    word: Annotated[
        list[str] | None, typer.Argument(metavar="[WORD]...", help="A word on the screen or in a file.")
    ] = None,
) -> None:
    """Say what a word means: a heading, a column of a file, an index, a term; without one, list all.

    \b
    Examples:
      psychophys explain ratio
      psychophys explain threshold_low
    """
    from psychophys.cli.catalogue import words
    from psychophys.cli.screen import plain_table, print_table, say, wide_console

    console, every = wide_console(), words()
    if word:
        wanted = " ".join(word)
        found = [row for row in every if row[0].lower() == wanted.lower()]
        if not found:
            raise unknown(
                "word", wanted, dict.fromkeys(row[0] for row in every), "`psychophys explain` lists all."
            )
        say(console, *(f"{name} ({where}): {meaning}" for name, where, meaning in found))
        return
    table = plain_table()
    for heading in ("word", "where", "meaning"):
        table.add_column(heading, no_wrap=heading == "word", overflow="fold")
    for row in every:
        table.add_row(*row)
    print_table(console, table)
