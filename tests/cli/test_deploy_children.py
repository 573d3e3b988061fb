"""Child processes of an event loop are ended without a word, also those that just ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import pytest

from qd_cli.deploy.children import end, tell


async def _started(code: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-SEc", code, stdout=asyncio.subprocess.PIPE
    )


async def test_one_that_ended_by_itself_is_not_taken_from_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The loop's watcher is told late, as on a busy machine."""
    process = await _started("print('last', flush=True)")
    assert process.stdout is not None
    assert await process.stdout.read() == b"last\n"
    with caplog.at_level(logging.WARNING):
        await end(process)
    assert process.returncode in (0, -signal.SIGTERM)
    assert not caplog.records


async def test_one_that_lives_is_ended() -> None:
    process = await _started("import signal; print('up', flush=True); signal.pause()")
    assert process.stdout is not None
    await process.stdout.readline()
    await end(process)
    assert process.returncode == -signal.SIGTERM
    tell(process, signal.SIGTERM)  # to nobody
