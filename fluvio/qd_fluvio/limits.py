"""Every limit of the layer for services: times, sizes and counts, each with its reason.

Only numbers; nothing here acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass

# A batch of one such record, with its headers, still fits the 1,000,000 bytes that other
# consumers fetch at most by default: a larger batch would never reach them.
RECORD_BYTES_MAX = 990_000
# Counted for each record beside its value, so that tiny records are bounded too.
RECORD_OVERHEAD_BYTES = 64
# Fluvio's own limit on a topic's name.
TOPIC_NAME_BYTES_MAX = 63
RETENTION_S_MIN = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How long calls may take and how much may wait in memory.

    Attributes
    ----------
    connect_seconds : float
        For reaching the cluster when a connection is opened.
    call_seconds : float
        For an administration call, and for opening a producer or a consumer.
    send_seconds : float
        A producer whose oldest record is not acknowledged for so long has failed. Over 10 s,
        after which the last replica of a new topic begins to follow its leader.
    reconnect_seconds : float
        A consumer that lost the cluster tries to come back for so long; 0 gives up at once.
    idle_check_seconds : float
        A consumer that received nothing for so long asks the cluster whether it should have.
    close_seconds : float
        For what is still to be acknowledged when a producer or connection is closed.
    in_flight_bytes_max : int
        Bytes a producer holds that the cluster has not acknowledged; more waits in `send`.
    queue_bytes_max : int
        Bytes a consumer holds that were not read yet; more waits in the cluster.
    fetch_bytes_max : int
        Bytes a consumer asks for at once. Large, because batches are cut at this size.
    refill_tries_max : int
        How often a consumer asks again for missing offsets before it gives up.
    warm_workers : int
        Worker processes started together with the connection, by the official client.
    worker_bytes_max : int
        Memory at which a worker process is replaced by a new one: the official client keeps some
        kilobytes for each topic that ever came and went.
    """

    connect_seconds: float = 5.0
    call_seconds: float = 10.0
    send_seconds: float = 15.0
    reconnect_seconds: float = 10.0
    idle_check_seconds: float = 5.0
    close_seconds: float = 1.0
    in_flight_bytes_max: int = 4 * 1024 * 1024
    queue_bytes_max: int = 4 * 1024 * 1024
    fetch_bytes_max: int = 16 * 1024 * 1024
    refill_tries_max: int = 3
    warm_workers: int = 1
    worker_bytes_max: int = 256 * 1024 * 1024


DEFAULT_LIMITS = Limits()
