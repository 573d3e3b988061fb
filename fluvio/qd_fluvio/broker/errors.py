"""Errors that only the broker's own parts raise, beside those of `qd_fluvio.errors`.

::

    FluvioError
     ├─ CompressionRefused        a batch against its topic's compression policy
     ├─ DeduplicationNameInvalid  a filter for duplicates that nothing can be named
     ├─ DeduplicationUnknown      a filter for duplicates that this broker does not have
     ├─ InvalidModule             bytes or a name that no SmartModule can have
     ├─ InvalidPackage            a SmartModule's package without what names it
     ├─ InvalidTopicSettings      a topic that one local broker cannot have
     ├─ InvalidReplicas           replicas that no topic can have
     ├─ ModuleNotFound            no SmartModule of that name
     ├─ ReplicasUnplaced          replicas for which the cluster has not enough SPUs
     ├─ SystemTopic               a topic that only the cluster itself can delete
     ├─ OffsetOutOfRange
     │   ├─ OffsetBeyond          the record is not written yet
     │   └─ OffsetEvicted         retention deleted the record
     └─ LogError
         ├─ DamagedRecords        records whose bytes are not those that were written
         ├─ PartitionBroken       a partition that cannot take records until a restart
         └─ StorageFull           no room for a batch
"""

from __future__ import annotations

from qd_fluvio.errors import FluvioError, LogError, OffsetOutOfRange


class InvalidTopicSettings(FluvioError):
    """The topic's settings make no sense, or not on a cluster of one SPU."""


class CompressionRefused(FluvioError):
    """The topic's policy does not allow the batch's compression."""


class DeduplicationUnknown(FluvioError):
    """The topic names a filter for duplicates that this broker does not have."""


class DeduplicationNameInvalid(FluvioError):
    """The topic's filter for duplicates has a name that no SmartModule can have."""


class OffsetEvicted(OffsetOutOfRange):
    """Retention deleted the record; the partition begins later now."""

    def __init__(self, offset: int, start_offset: int) -> None:
        super().__init__(
            f"found offset {offset}, but the partition begins at {start_offset}: read from there"
        )
        self.offset = offset
        self.start_offset = start_offset


class OffsetBeyond(OffsetOutOfRange):
    """The record is not written yet, nor is it the next one."""

    def __init__(self, offset: int, end_offset: int) -> None:
        super().__init__(
            f"found offset {offset}, expected at most {end_offset}, which is written next"
        )
        self.offset = offset
        self.end_offset = end_offset


class StorageFull(LogError):
    """The disk or its quota has no room for the batch."""


class PartitionBroken(LogError):
    """The disk failed the partition, which takes no more records until a restart."""


class DamagedRecords(LogError):
    """Bytes on the disk are not those that were written; they are never served."""

    def __init__(self, name: str, first_offset: int, next_offset: int, reason: str) -> None:
        super().__init__(
            f"{name} is damaged: the records of offsets {first_offset} to {next_offset - 1} "
            f"cannot be served ({reason}): read on from offset {next_offset}, "
            "or restore the file"
        )
        self.first_offset = first_offset
        self.next_offset = next_offset


class InvalidReplicas(FluvioError):
    """The topic's replicas make no sense."""


class ReplicasUnplaced(FluvioError):
    """The topic's replicas need more SPUs than the cluster has."""


class SystemTopic(FluvioError):
    """The topic is the cluster's own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"topic '{name}' is the cluster's own: it cannot be deleted")
        self.name = name


class InvalidModule(FluvioError):
    """The SmartModule's bytes or name break a rule."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"SmartModule {name!r}: {reason}")
        self.name = name
        self.reason = reason


class InvalidPackage(FluvioError):
    """The SmartModule's package has not all that names it."""


class ModuleNotFound(FluvioError):
    """There is no SmartModule of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"found no SmartModule {name!r}: create it first")
        self.name = name
