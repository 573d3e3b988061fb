"""What a broker is told at its start, and its limits.

Values only: nothing here opens a file or a socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from qd_schemas.errors import SettingError

# Fluvio's own limits on one request and on one batch.
REQUEST_BYTES_MAX = 33_554_432
BATCH_BYTES_MAX = 2_097_152
# One response's records, whatever the client allows; with the next one they bound what a
# consumer that does not read can hold in memory.
FETCH_BYTES_MAX = 4_194_304
CONNECTIONS_MAX = 4_096
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
KEEPALIVE_S = 30
# Unsent watch updates of one connection, beyond which it gets a full list later instead.
WATCH_BACKLOG_BYTES_MAX = 1 << 20
# Smaller than Fluvio's (1 GiB): at a start, and at the first read of an older segment after
# it, one segment's headers are walked.
SEGMENT_BYTES_DEFAULT = 1 << 26
SEGMENT_BYTES_MIN = 1_024  # Fluvio's
RETENTION_S_MIN = 10  # Fluvio's
# A client learns of a new topic by its watch, on another task than the one that waits for
# the answer to create: the answer is held back so that the watch is seen first.
CREATE_SETTLE_S = 0.01

SPU_ID = 5001
SPU_NAME = "custom-spu-5001"
PLATFORM_VERSION = "0.18.2"


class Durability(Enum):
    """What an acknowledged record survives."""

# What Fluvio compares a partition's size with where a topic names no segment size.
SEGMENT_BYTES_FLUVIO = 1 << 30
PARTITION_BYTES_MIN = 2 * SEGMENT_BYTES_MIN  # Fluvio's, and the two that follow
PARTITION_BYTES_DEFAULT = 107_374_182_400
RETENTION_S_DEFAULT = 7 * 24 * 3_600
    PROCESS = "process"  # the death of the broker, however it dies
    POWER = "power"  # also the death of the machine


@dataclass(frozen=True, slots=True)
class Faults:
    """How the broker misbehaves on request, as a real cluster can.

    Attributes
    ----------
    cut_batches : bool
        Cut a fetch at its max_bytes, in the middle of a batch.
    drop_after_bytes : int
        Close an SPU connection once it has sent so many bytes; 0 never does.
    late_topics_s : float
        Tell watching clients of a new topic so long after the answer to create.
    """

    cut_batches: bool = False
    drop_after_bytes: int = 0
    late_topics_s: float = 0.0


def parse_faults(texts: Iterable[str]) -> Faults:
    """Read `cut-batches`, `drop-after=BYTES` and `late-topics=SECONDS`.

    Raises
    ------
    SettingError
        If a text is none of them.
    """
    faults = Faults()
    for text in texts:
        name, _, value = text.partition("=")
        try:
            if text == "cut-batches":
                faults = replace(faults, cut_batches=True)
            elif name == "drop-after":
                faults = replace(faults, drop_after_bytes=int(value))
            elif name == "late-topics":
                faults = replace(faults, late_topics_s=float(value))
            else:
                raise ValueError(text)
        except ValueError:
            raise SettingError(
                f"found fault {text!r}, expected cut-batches, drop-after=BYTES "
                "or late-topics=SECONDS"
            ) from None
    return faults


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
