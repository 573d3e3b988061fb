"""The entry point: runs a command and decides how it ends.

Whatever happens, a user sees one line and an exit code (`qd_cli.errors.ExitCode`), never a
traceback; QD_DEBUG=1 shows that of a defect. Nothing heavy is imported before `main` runs,
so that even an early Ctrl-C ends quietly.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default the process's own.

    Returns
    -------
    int
        The exit code.
    """
    _make_streams()
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    try:
        sys.stdout.flush()
    except OSError:  # a terminal that hung up
        _forget_output()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    from qd_cli.errors import ExitCode, Interrupted, OutputClosed
    from qd_schemas.errors import QdError

    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        return code
    except (OutputClosed, BrokenPipeError):
        _forget_output()
        return ExitCode.SIGNALLED + signal.SIGPIPE
    except Interrupted as interrupted:
        return ExitCode.SIGNALLED + interrupted.number
    except QdError as error:
        _complain(str(error))
        return ExitCode.TRY_AGAIN if error.retriable else ExitCode.FAILED
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        return ExitCode.FAILED
    except Exception as error:
        if os.environ.get("QD_DEBUG") == "1":
            raise
        _complain(f"a defect: {type(error).__name__}: {error} (QD_DEBUG=1 shows where)")
        return ExitCode.DEFECT


def _invoke(arguments: Sequence[str] | None) -> int:
    """Run the command line; its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["health"]:  # a container's health command: it runs again and again
        from qd_cli.health import plainly_asked

        code = plainly_asked(words[1:])
        if code is not None:
            return code
    from qd_cli.app import make_app

    try:
        make_app()(args=words, prog_name="qd")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _make_streams() -> None:
    """Give a process that was started without standard streams empty ones."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is the missing stream's own, so no other file gets it.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that hung up
        print(f"qd: {text}", file=sys.stderr, flush=True)


def _forget_output() -> None:
    """Keep the interpreter from complaining about the closed pipe once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
