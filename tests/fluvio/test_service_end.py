"""How a service's coroutine ends decides the exit code; none ends in silence."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from qd_fluvio.service import run
from qd_schemas.errors import QdError

async def main():
    {body}

sys.exit(run("service", main))
"""


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("pass", 0, "stopped"),
        ("raise QdError('no such thing')", 1, "failed: no such thing"),
        ("raise ValueError('oops')", 70, "ValueError: oops"),
        ("asyncio.current_task().cancel(); await asyncio.Event().wait()", 70, "by no signal"),
    ],
)
def test_how_a_service_ends(body: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
