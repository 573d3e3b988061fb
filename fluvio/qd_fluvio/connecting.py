"""The one way in: `connect`. It chooses the implementation behind the Protocols."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from qd_fluvio.api import Fluvio
from qd_fluvio.limits import DEFAULT_LIMITS, Limits
from qd_fluvio.official.connection import open_connection


def connect(
    endpoint: str, *, limits: Limits = DEFAULT_LIMITS
) -> AbstractAsyncContextManager[Fluvio]:
    """Connect to a cluster.

    Parameters
    ----------
    endpoint : str
        ``host:port`` of the cluster's SC.
    limits : Limits
        Deadlines and sizes.

    Returns
    -------
    async context manager of Fluvio
        Leaving it closes all producers and consumers made from it.

    Raises
    ------
    ClusterUnreachable
        On entering: nobody answers at `endpoint` as a Fluvio cluster.

    Examples
    --------
    >>> async def main():
    ...     async with connect("127.0.0.1:9003") as fluvio:
    ...         await fluvio.create_topic("greetings", exist_ok=True)
    ...         producer = await fluvio.producer("greetings")
    ...         await producer.send(b"hello")
    ...         await producer.flush()
    """
    return open_connection(endpoint, limits)
