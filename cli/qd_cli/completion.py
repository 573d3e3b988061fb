"""Names for the shell to complete: topics, consumers and profiles.

A shell waits for the answer on every press of Tab: it comes soon or not at all, and nothing is
ever printed about why. QD_COMPLETION_SECONDS gives a slow machine or network more time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from qd_fluvio import Fluvio
    from qd_schemas.specs import FluvioSettings

SECONDS = "QD_COMPLETION_SECONDS"
SECONDS_DEFAULT = 1.5
_NAMES_MAX = 1_000

Ask = Callable[["Fluvio"], Awaitable[Iterable[str]]]


def topics(context: typer.Context, incomplete: str) -> list[str]:
    """Names of topics; of several, those that were not given yet."""

    async def ask(fluvio: Fluvio) -> Iterable[str]:
        return [topic.name for topic in await fluvio.topics()]

    return _answer(context, incomplete, ask)


def consumers(context: typer.Context, incomplete: str) -> list[str]:
    """Names of consumers that have committed offsets."""

    async def ask(fluvio: Fluvio) -> Iterable[str]:
        return [offset.consumer_id for offset in await fluvio.committed_offsets()]

    return _answer(context, incomplete, ask)


def profiles(incomplete: str) -> list[str]:
    """Names of Fluvio's profiles."""
    from qd_cli.profiles import ProfileFile

    with contextlib.suppress(Exception):
        return _chosen((profile.name for profile in ProfileFile().profiles()), incomplete)
    return []


def _answer(context: typer.Context, incomplete: str, ask: Ask) -> list[str]:
    from qd_cli.options import targets  # which declares options by this module

    # Whatever goes wrong, a shell in the middle of a line is no place to say so.
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        seconds = float(os.environ.get(SECONDS) or SECONDS_DEFAULT)
        _end_after(seconds)
        # Before there is an event loop: a deployment is reached through tunnels that need none.
        where = targets(context.params.get("state"), fluvio=context.params.get("fluvio"))
        cluster = where.cluster()
        found = asyncio.run(_asked(cluster, ask, seconds))
        given = {name for value in context.params.values() for name in _names(value)}
        return _chosen((name for name in found if name not in given), incomplete)
    return []


def _names(value: object) -> Iterable[str]:
    return (str(name) for name in value) if isinstance(value, list | tuple) else ()


def _chosen(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})[:_NAMES_MAX]


async def _asked(cluster: FluvioSettings, ask: Ask, seconds: float) -> Iterable[str]:
    from qd_fluvio import Limits, connect

    limits = Limits(connect_seconds=seconds, call_seconds=seconds, warm_workers=0)
    async with asyncio.timeout(seconds), connect(cluster, limits=limits) as fluvio:
        return await ask(fluvio)


def _end_after(seconds: float) -> None:
    """End this process then in any case: the look-up of a host's name cannot be cancelled."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, seconds)
