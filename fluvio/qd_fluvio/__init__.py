"""Fluvio for this system: connect, and use topics without losing a record.

`connect` gives a `Fluvio`; everything else here is a value or an error.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from qd_fluvio.api import (
    Consumer,
    Fluvio,
    Offset,
    Producer,
    Record,
    TopicInfo,
    TopicSettings,
)
from qd_fluvio.errors import (
    ClusterUnreachable,
    ConnectionLost,
    DeadlineExceeded,
    FluvioError,
    InvalidTopicName,
    OffsetOutOfRange,
    RecordsMissing,
    RecordTooLarge,
    TopicExists,
    TopicNotFound,
)
from qd_fluvio.limits import DEFAULT_LIMITS, RECORD_BYTES_MAX, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "RECORD_BYTES_MAX",
    "ClusterUnreachable",
    "ConnectionLost",
    "Consumer",
    "DeadlineExceeded",
    "Fluvio",
    "FluvioError",
    "InvalidTopicName",
    "Limits",
    "Offset",
    "OffsetOutOfRange",
    "Producer",
    "Record",
    "RecordTooLarge",
    "RecordsMissing",
    "TopicExists",
    "TopicInfo",
    "TopicNotFound",
    "TopicSettings",
    "connect",
]


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
    # Imported here, because worker processes import this package too and need none of it.
    from qd_fluvio.official.connection import open_connection

    return open_connection(endpoint, limits)
