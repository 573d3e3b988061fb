"""Calls to the Fluvio cluster that a command is about: connect, act, close."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from qd_cli.patience import patiently
from qd_cli.targets import Targets

if TYPE_CHECKING:
    from qd_fluvio import Fluvio

T = TypeVar("T")


def with_fluvio(
    where: Targets,
    act: Callable[[Fluvio], Awaitable[T]],
    *,
    records: bool = False,
    patient: bool = False,
) -> T:
    """Connect to the targets' cluster, act, close.

    Parameters
    ----------
    act : callable
        Gets the connection; its result is returned.
    records : bool
        Whether it moves records: what that needs is then made ready with the connection.
    patient : bool
        Whether a cluster that does not answer is tried again for a moment; for what may be done
        twice.
    """
    from dataclasses import replace

    from qd_fluvio import DEFAULT_LIMITS, connect
    from qd_fluvio.errors import ClusterUnreachable

    cluster = where.cluster()
    limits = DEFAULT_LIMITS if records else replace(DEFAULT_LIMITS, warm_workers=0)

    async def once() -> T:
        async with connect(cluster, limits=limits) as fluvio:
            return await act(fluvio)

    return where.run(
        lambda _: patiently(once, lambda error: patient and isinstance(error, ClusterUnreachable))
    )
