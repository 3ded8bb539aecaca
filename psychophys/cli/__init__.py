"""The command line: parse, call the library once, print. Errors become one line here."""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
import warnings

from psychophys.base.errors import PsychophysError
from psychophys.cli.waiting import waiting

INTERRUPTED = 130
INTERRUPTION = (
    "error: interrupted. What is in files is kept; a sweep or learn that is begun again does the rest."
)


def main() -> None:
    """Entry point of the ``psychophys`` command."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    # Idle threads give the core back instead of spinning: on a shared machine that is many times faster.
    # OpenMP reads it when PyTorch is loaded, here and in the processes that are started from here.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not debug:
        # Deprecation warnings of libraries are for their developers.
        warnings.simplefilter("ignore")
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # Imports make millions of objects and no garbage: looking for it takes a third of their time.
    gc.disable()
    try:
        with waiting(arguments):
            code = _run(arguments, debug)
    finally:
        gc.enable()
    sys.exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    import typer

    from psychophys.cli.app import app

    try:
        code = app(arguments or ["--help"], prog_name="psychophys", standalone_mode=False)
        code = code if isinstance(code, int) else 0
        if code == INTERRUPTED:
            print(INTERRUPTION, file=sys.stderr)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _leave()
    except SystemExit as end:
        # The parser and the tables end like this where the reader of a pipe has enough.
        if isinstance(end.__context__, BrokenPipeError):
            return _leave()
        raise
    except (KeyboardInterrupt, typer.Abort):
        print(INTERRUPTION, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        line, code = _explain(error)
        print(f"error: {line}", file=sys.stderr)
        return code


def _leave() -> int:
    """The reader of a pipe has enough: leave quietly, with what is still to be written going nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    return 0


def _explain(error: Exception) -> tuple[str, int]:
    """One line and the exit code."""
    if isinstance(error, PsychophysError):
        return str(error), error.exit_code
    # The parser's own errors carry their message.
    if (describe := getattr(error, "format_message", None)) is not None:
        return f"{' '.join(describe().split())} See `psychophys --help`.", 2
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:  # A full disk, for one.
            return f"{error.strerror}; what was finished is in the output.", 1
        return f"cannot use {str(error.filename)!r}: {error.strerror}. Give another path.", 2
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"unexpected {type(error).__name__}: {first[:300]}. Run with --debug and report it.", 1
