"""Fluvio for this system: connect, and use topics without losing a record.

`connect` gives a `Fluvio`; everything else here is a value or an error. The names are looked
up when they are first used: worker processes import this package too, need none of them, and
start in half the time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qd_fluvio.api import (
        CommittedOffset,
        Compression,
        Consumer,
        Deduplication,
        Fluvio,
        Isolation,
        Offset,
        PartitionInfo,
        Producer,
        Record,
        TopicInfo,
        TopicSettings,
    )
    from qd_fluvio.connecting import connect
    from qd_fluvio.declared import ensure_system_topic, settings_of
    from qd_fluvio.errors import (
        ClusterUnreachable,
        ConnectionLost,
        DeadlineExceeded,
        FluvioError,
        InvalidTopicName,
        OffsetOutOfRange,
        RecordsMissing,
        RecordTooLarge,
        TlsFailed,
        TopicDeleted,
        TopicExists,
        TopicNotFound,
    )
    from qd_fluvio.limits import DEFAULT_LIMITS, RECORD_BYTES_MAX, Limits

__all__ = [
    "DEFAULT_LIMITS",
    "RECORD_BYTES_MAX",
    "ClusterUnreachable",
    "CommittedOffset",
    "Compression",
    "ConnectionLost",
    "Consumer",
    "DeadlineExceeded",
    "Deduplication",
    "Fluvio",
    "FluvioError",
    "InvalidTopicName",
    "Isolation",
    "Limits",
    "Offset",
    "OffsetOutOfRange",
    "PartitionInfo",
    "Producer",
    "Record",
    "RecordTooLarge",
    "RecordsMissing",
    "TlsFailed",
    "TopicDeleted",
    "TopicExists",
    "TopicInfo",
    "TopicNotFound",
    "TopicSettings",
    "connect",
    "ensure_system_topic",
    "settings_of",
]

_MODULES = ("api", "connecting", "declared", "errors", "limits")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
