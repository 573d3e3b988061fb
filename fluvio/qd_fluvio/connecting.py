"""The one way in: `connect`. It chooses the implementation behind the Protocols."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from qd_fluvio.api import Fluvio
from qd_fluvio.limits import DEFAULT_LIMITS, Limits
from qd_schemas.specs import ClientKind, FluvioSettings


def connect(
    cluster: FluvioSettings | str, *, limits: Limits = DEFAULT_LIMITS
) -> AbstractAsyncContextManager[Fluvio]:
    """Connect to a cluster.

    Parameters
    ----------
    cluster : FluvioSettings or str
        Where it is and how to speak to it; ``host:port`` of its SC alone means the official
        client without TLS.
    limits : Limits
        Deadlines and sizes.

    Returns
    -------
    async context manager of Fluvio
        Leaving it closes all producers and consumers made from it.

    Raises
    ------
    ClusterUnreachable
        On entering: nobody answers at the endpoint as a Fluvio cluster.
    TlsFailed
        On entering: no secure connection can be made.

    Examples
    --------
    >>> async def main():
    ...     async with connect("127.0.0.1:9003") as fluvio:
    ...         await fluvio.create_topic("greetings", exist_ok=True)
    ...         producer = await fluvio.producer("greetings")
    ...         await producer.send(b"hello")
    ...         await producer.flush()
    """
    settings = FluvioSettings(cluster) if isinstance(cluster, str) else cluster
    # Each implementation is imported only when it is used: they share no dependencies.
    if settings.client is ClientKind.NATIVE:
        from qd_fluvio.native.connection import open_connection as open_native

        return open_native(settings, limits)
    from qd_fluvio.official.connection import open_connection as open_official

    return open_official(settings, limits)
