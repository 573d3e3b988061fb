"""The ``qd`` command: its list of commands, and how every one of them ends.

Whatever happens, a user sees one line and an exit code (`qd_cli.errors.ExitCode`), never a
traceback; QD_DEBUG=1 shows the traceback of a defect.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import typer

from qd_cli.errors import ExitCode, OutputClosed
from qd_cli.interrupts import Interrupted
from qd_schemas.errors import QdError

_GROUPS = ("demo", "stack", "data", "topics", "services")

_HELP = """Market replay and streaming causal analytics on Fluvio.

\b
Start here:
  qd demo                     the main job, end to end, on generated trades
  qd up                       a stack that stays up
  qd import kraken.zip        trades into its database
  qd stream XBTCAD --bars 1d  a market's daily bars
  qd alerts --follow          breakouts as they are found

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a part died (status), 4 nothing runs
(status), 70 a defect of qd, 130 Ctrl-C, 141 closed pipe, 143 SIGTERM.
"""


def make_app() -> typer.Typer:
    """Build the command with all its commands."""
    app = typer.Typer(
        name="qd",
        help=_HELP,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for group in _GROUPS:
        importlib.import_module(f"qd_cli.commands.{group}").add_to(app)
    return app


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
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except (OutputClosed, BrokenPipeError):
        _forget_output()
        code = ExitCode.SIGNALLED + signal.SIGPIPE
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        make_app()(args=arguments, prog_name="qd")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except OutputClosed:
        raise
    except Interrupted as interrupted:
        return ExitCode.SIGNALLED + interrupted.number
    except KeyboardInterrupt:
        return ExitCode.SIGNALLED + signal.SIGINT
    except QdError as error:
        _complain(str(error))
        return ExitCode.FAILED
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
        return ExitCode.FAILED
    except Exception as error:
        return _defect(error)
    return ExitCode.OK


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that hung up
        print(f"qd: {text}", file=sys.stderr, flush=True)


def _defect(error: Exception) -> int:
    if os.environ.get("QD_DEBUG") == "1":
        raise error
    _complain(f"a defect: {type(error).__name__}: {error} (QD_DEBUG=1 shows where)")
    return ExitCode.DEFECT


def _forget_output() -> None:
    """Keep the interpreter from complaining about the closed pipe once more at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
