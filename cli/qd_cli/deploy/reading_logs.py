"""``qd deploy logs``: asks kubectl for the lines of all pods, again and again where that is wanted.

Asking again finds pods that came later, and containers that were started again.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from qd_cli import console
from qd_cli.deploy.kubectl import Kubectl
from qd_cli.deploy.log_lines import Fresh, lines_of, shown
from qd_cli.deploy.names import COMPONENT_LABEL, SELECTOR
from qd_cli.deploy.plan import component_of
from qd_cli.errors import RequestRefused

_POLL_SECONDS: Final = 1.0
_SOURCES_MAX: Final = 200
_SINCE: Final = re.compile(r"([0-9]+(\.[0-9]+)?[smh])+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines.

    Attributes
    ----------
    part : str or None
        None means all.
    follow : bool
        Wait for more.
    since : str or None
        Such as ``10m``.
    lines : int
        The last ones of each container.
    raw : bool
        As they were written.
    """

    part: str | None = None
    follow: bool = False
    since: str | None = None
    lines: int = 50
    raw: bool = False


async def print_logs(kubectl: Kubectl, wanted: Wanted) -> None:
    """Print lines.

    Raises
    ------
    RequestRefused
        There is no such part, or the time makes no sense.
    """
    if wanted.since is not None and not _SINCE.fullmatch(wanted.since):
        raise RequestRefused(f"--since is {wanted.since!r}; expected such as 30s, 5m, 2h or 1h30m")
    await _require_part(kubectl, wanted.part)
    limits = [f"--tail={wanted.lines if wanted.since is None else -1}"]
    if wanted.since is not None:
        limits.append(f"--since={wanted.since}")
    fresh = Fresh()
    while True:
        for line in fresh.of(lines_of(await _ask(kubectl, wanted.part, limits))):
            console.out(shown(line, raw=wanted.raw))
        if not wanted.follow:
            return
        if fresh.newest:
            limits = [f"--since-time={fresh.newest}"]
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(kubectl: Kubectl, part: str | None, limits: list[str]) -> str:
    chosen = SELECTOR + (f",{COMPONENT_LABEL}={part}" if part else "")
    return await kubectl.run(
        "logs",
        f"--selector={chosen}",
        "--all-containers",
        "--prefix",
        "--timestamps",
        "--ignore-errors",
        f"--max-log-requests={_SOURCES_MAX}",
        *limits,
    )


async def _require_part(kubectl: Kubectl, part: str | None) -> None:
    found = await kubectl.get("pods", f"--selector={SELECTOR}")
    known = sorted({component_of(pod) for pod in found["items"]})
    if not known:
        raise RequestRefused(
            f"there is no pod of qd in namespace {kubectl.namespace} of context {kubectl.context}: "
            "`qd deploy` makes some"
        )
    if part is not None and part not in known:
        raise RequestRefused(f"no part is named {part!r}: expected one of {', '.join(known)}")
