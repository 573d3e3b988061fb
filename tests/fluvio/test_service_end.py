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


def test_what_the_start_made_is_not_looked_through_again() -> None:
    """Collecting garbage over it all would stop a service for some hundredths of a second."""
    body = "; ".join(
        (
            "import gc",
            "from qd_fluvio.service import ready",
            "ready()",
            "print(len(gc.get_objects()), gc.get_freeze_count())",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    watched, frozen = done.stdout.split()
    assert int(frozen) > 10 * int(watched)
