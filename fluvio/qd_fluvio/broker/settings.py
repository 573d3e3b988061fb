"""What a broker is told at its start, and its limits.

Values only: nothing here opens a file or a socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from qd_schemas.errors import SettingError
from qd_schemas.specs import Address

# Fluvio's own limits on one request and on one batch.
REQUEST_BYTES_MAX = 33_554_432
BATCH_BYTES_MAX = 2_097_152
# One response's records, whatever the client allows; with the next one they bound what a
# consumer that does not read can hold in memory.
FETCH_BYTES_MAX = 4_194_304
FETCH_BYTES_MIN = 65_536  # where memory is short
# How often connections are looked at that stall.
SWEEP_S = 0.5
# Requests of one connection that are answered in a row, before others have their turn.
REQUESTS_IN_A_ROW_MAX = 16
# Elements of one request's lists, and names in a list's filter: what is more only costs time.
REQUEST_ELEMENTS_MAX = 50_000
LIST_NAMES_MAX = 256
# What a queued request costs beside its bytes.
REQUEST_OVERHEAD_BYTES = 64
# How long a client may take to agree on TLS, and to say goodbye.
TLS_HANDSHAKE_S_MAX = 10.0
TLS_GOODBYE_S_MAX = 2.0
STREAMS_PER_CONNECTION_MAX = 1_024
WATCHES_PER_CONNECTION_MAX = 64
TOPICS_MAX = 10_000
PARTITIONS_PER_TOPIC_MAX = 1_024
TOPIC_NAME_CHARACTERS_MAX = 63
# SmartModules stay in memory and a list carries them all, so all together are bounded.
MODULES_MAX = 1_024
MODULE_BYTES_MAX = 8_388_608  # as sent, likely compressed
MODULE_WASM_BYTES_MAX = 33_554_432  # uncompressed
MODULES_BYTES_MAX = 33_554_432
MODULE_NAME_CHARACTERS_MAX = 200
# Unanswered requests of one connection, beyond which it is not read.
INBOX_BYTES_MAX = 1 << 20
# How much of a large request must have come before the broker is woken to take it.
RECEIVE_LOW_BYTES_MAX = 1 << 17
# Unsent bytes of one connection, beyond which its senders wait.
OUTBOX_BYTES_MAX = 1 << 18
SEND_CHUNK_BYTES = 1 << 18
# Small answers to requests that came together leave together, up to so many bytes.
GATHERED_BYTES_MAX = 1 << 16
# Requests above this are counted when they are answered; what is smaller, at the next sweep.
ACCOUNTED_BYTES_MIN = 1 << 16
KEEPALIVE_S = 30
# Unsent watch updates of one connection, beyond which it gets a full list later instead.
WATCH_BACKLOG_BYTES_MAX = 1 << 20
# Smaller than Fluvio's (1 GiB): at a start, and at the first read of an older segment after
# it, one segment's headers are walked.
SEGMENT_BYTES_DEFAULT = 1 << 26
SEGMENT_BYTES_MIN = 1_024  # Fluvio's
# What Fluvio compares a partition's size with where a topic names no segment size.
SEGMENT_BYTES_FLUVIO = 1 << 30
PARTITION_BYTES_MIN = 2 * SEGMENT_BYTES_MIN  # Fluvio's, and the two that follow
PARTITION_BYTES_DEFAULT = 107_374_182_400
RETENTION_S_DEFAULT = 7 * 24 * 3_600
RETENTION_S_MIN = 10  # Fluvio's
CLEANING_INTERVAL_S = 10.0  # Fluvio's: how often retention is applied
# Descriptors that segments may hold: a share of what the process may open, the rest being
# for connections. Others are opened again when they are used.
SEGMENT_FILES_SHARE = 4
SEGMENT_FILES_MAX = 1_024
# Records that one partition remembers to find duplicates: about 250 bytes each.
DEDUPLICATION_RECORDS_MAX = 200_000
# Named consumers of partitions whose offsets are kept: about 500 bytes each.
CONSUMERS_MAX = 100_000
CONSUMER_ID_CHARACTERS_MAX = 255
# A client learns of a new topic by its watch, on another task than the one that waits for
# the answer to create: the answer is held back so that the watch is seen first.
CREATE_SETTLE_S = 0.01

SPU_ID = 5001
SPU_NAME = "custom-spu-5001"
PLATFORM_VERSION = "0.18.2"


class Durability(Enum):
    """What an acknowledged record survives."""

    PROCESS = "process"  # the death of the broker, however it dies
    POWER = "power"  # also the death of the machine


# How long both ports stay closed when the broker plays a restart.
RESTART_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Faults:
    """How the broker misbehaves on request, as a real cluster can.

    Attributes
    ----------
    cut_batches : bool
        Cut a fetch at its max_bytes, in the middle of a batch.
    delay_s : float
        Hold back each response for so long.
    drop_after_bytes : int
        Close an SPU connection once it has sent so many bytes; 0 never does.
    late_topics_s : float
        Tell watching clients of a new topic so long after the answer to create.
    restart_after_bytes : int
        Close all connections and both ports each time so many bytes were sent, and open
        the ports again after a moment; 0 never does.
    restart_after_s : float
        The same each time so many seconds have passed.
    """

    cut_batches: bool = False
    delay_s: float = 0.0
    drop_after_bytes: int = 0
    late_topics_s: float = 0.0
    restart_after_bytes: int = 0
    restart_after_s: float = 0.0


FAULTS_HELP = (
    "cut-batches, delay=SECONDS, drop-after=BYTES, late-topics=SECONDS, "
    "restart-after=BYTES or restart-after=SECONDSs"
)


def parse_faults(texts: Iterable[str]) -> Faults:
    """Read what `FAULTS_HELP` names, one fault a text.

    Raises
    ------
    SettingError
        If a text is none of them.
    """
    faults = Faults()
    for text in texts:
        try:
            faults = replace(faults, **_fault(text.strip()))
        except ValueError:
            raise SettingError(f"found fault {text!r}, expected one of {FAULTS_HELP}") from None
    return faults


def _fault(text: str) -> dict[str, Any]:
    name, _, value = text.partition("=")
    if text == "cut-batches":
        return {"cut_batches": True}
    if name == "delay":
        return {"delay_s": _seconds(value)}
    if name == "drop-after":
        return {"drop_after_bytes": _count(value)}
    if name == "late-topics":
        return {"late_topics_s": _seconds(value)}
    if name == "restart-after" and value.endswith("s"):
        return {"restart_after_s": _seconds(value.removesuffix("s"))}
    if name == "restart-after":
        return {"restart_after_bytes": _count(value)}
    raise ValueError(text)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise ValueError(text)
    return seconds


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What all connections together, and each of them, may take.

    Attributes
    ----------
    connections_max : int
        Open connections to both ports.
    memory_bytes_max : int
        Memory for what connections have sent and not yet got answered, and for answers
        that they have not taken. Beyond it large requests wait for each other, and who
        holds memory without moving is closed. What a connection costs while it rests
        (64 KiB, with TLS 320 KiB) is not counted.
    opening_s_max : float
        A connection must have sent a whole request within this time.
    request_s_max : float
        A request must be whole so long after it was seen to begin.
    stall_s_max : float
        Who sends nothing and takes nothing for so long is closed where memory is short.
    """

    connections_max: int = 2_048
    memory_bytes_max: int = 512 << 20
    opening_s_max: float = 10.0
    request_s_max: float = 30.0
    stall_s_max: float = 1.0

    def __post_init__(self) -> None:
        if self.connections_max < 1 or self.memory_bytes_max < REQUEST_BYTES_MAX:
            raise SettingError(
                f"found limits of {self.connections_max} connections and {self.memory_bytes_max} "
                f"bytes of memory, expected 1 and {REQUEST_BYTES_MAX} or more"
            )


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of a broker that speaks TLS.

    Attributes
    ----------
    cert, key : Path
        The broker's PEM certificate (with those between it and its CA) and its key.
    client_ca : Path or None
        PEM certificates that sign clients' certificates: only such clients are served.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What a broker is told at its start; port 0 lets the system choose."""

    data: Path
    host: str = "127.0.0.1"
    advertise: str = ""
    sc_port: int = 0
    spu_port: int = 0
    durability: Durability = Durability.PROCESS
    faults: Faults = Faults()
    tls: TlsFiles | None = None
    limits: ConnectionLimits = ConnectionLimits()
    metrics: Address | None = None
    """Where metrics and health are served (QD_BROKER_METRICS); None: nowhere."""
