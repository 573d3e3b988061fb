"""``qd`` in a child of `support.forks`: as a user runs it, but for the second the imports take."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import numpy  # noqa: F401
import psycopg  # noqa: F401
import pyarrow  # noqa: F401

import qd_cli.app
import qd_client.client
import qd_client.symdb  # noqa: F401
import qd_fluvio.native
import qd_fluvio.official  # noqa: F401
import qd_store.imports  # noqa: F401
from qd_cli.main import main

qd_cli.app.make_app()  # imports all commands


def run(arguments: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a command without input; its exit code and all that it says."""
    os.environ.clear()
    os.environ.update(env)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(err.fileno(), sys.stderr.fileno())
        code = main(arguments)
        sys.stderr.flush()
        said = {}
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            said[name] = file.read().decode()
        return {"code": code, **said}
