"""The command line: parse, call the library once, print. Errors become one line here."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings

from psychophys.errors import PsychophysError


def main() -> None:
    """Entry point of the ``psychophys`` command."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    if not debug:
        # Deprecation warnings of libraries are for their developers.
        warnings.simplefilter("ignore")
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    import typer

    from psychophys.cli.app import app

    try:
        code = app(arguments or ["--help"], prog_name="psychophys", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Abort:
        print("error: interrupted; what was finished is in the output.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has enough: leave quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("error: interrupted; what was finished is in the output.", file=sys.stderr)
        return 130
    except PsychophysError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        # The parser's own errors carry their message and exit code.
        if (describe := getattr(error, "format_message", None)) is not None:
            print(f"error: {' '.join(describe().split())} See `psychophys --help`.", file=sys.stderr)
            return 2
        first = (str(error).strip().splitlines() or ["no message"])[0]
        print(
            f"error: unexpected {type(error).__name__}: {first[:300]}. Run with --debug and report it.",
            file=sys.stderr,
        )
        return 1
    return 0
