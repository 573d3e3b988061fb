"""What services see of Fluvio: values and Protocols, no implementation.

An implementation stands behind `qd_fluvio.connect`; callers name only these types, so that
another one can take its place.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from qd_fluvio.limits import RETENTION_S_MIN
from qd_schemas.errors import SettingError


class Record(NamedTuple):
    """One record of a partition.

    A tuple, because it is made a hundred thousand times a second: a frozen dataclass takes
    three times as long.
    """

    offset: int
    timestamp_ms: int  # milliseconds since the epoch, UTC; -1 where the producer gave none
    key: bytes | None
    value: bytes


class Position(enum.Enum):
    """From where an offset counts."""

    BEGINNING = "beginning"
    END = "end"
    ABSOLUTE = "absolute"


@dataclass(frozen=True, slots=True)
class Offset:
    """Where a consumer starts: make one with `beginning`, `end` or `absolute`."""

    position: Position
    value: int = 0

    @classmethod
    def beginning(cls) -> Offset:
        """The oldest record that the partition still has."""
        return cls(Position.BEGINNING)

    @classmethod
    def end(cls) -> Offset:
        """The next record that will be written."""
        return cls(Position.END)

    @classmethod
    def absolute(cls, value: int) -> Offset:
        """The record with exactly this offset."""
        if value < 0:
            raise SettingError(f"offset {value} is negative; give 0 or more")
        return cls(Position.ABSOLUTE, value)

    def __str__(self) -> str:
        return str(self.value) if self.position is Position.ABSOLUTE else self.position.value


class Compression(enum.Enum):
    """How batches are compressed."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"
    ANY = "any"  # of a topic: its producers choose


class Isolation(enum.Enum):
    """Which records a consumer may see."""

    READ_UNCOMMITTED = "read-uncommitted"  # as soon as the leader has them
    READ_COMMITTED = "read-committed"  # once they are as safe as the topic promises


@dataclass(frozen=True, slots=True)
class Deduplication:
    """How a topic drops records that it holds already.

    Attributes
    ----------
    count : int
        How many of the last records are looked at, at least 1.
    age_s : int or None
        Records older than so many seconds are not looked at; None sets no such bound.
    filter : str
        The name of the SmartModule that decides what is equal.
    """

    count: int
    age_s: int | None = None
    filter: str = "dedup-filter"

    def __post_init__(self) -> None:
        for name, value in (("count", self.count), ("age_s", self.age_s)):
            if value is not None and not 1 <= value < 2**63:
                raise SettingError(f"deduplication {name} is {value}; give 1 or more")


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How a new topic is laid out; None takes the cluster's default.

    Attributes
    ----------
    partitions, replication : int
        Counts, at least 1; `replication` is at most the cluster's number of SPUs.
    retention_s : int or None
        Seconds after which a whole segment may be deleted (cluster's default: 7 days).
    segment_bytes : int or None
        Size at which a new segment file begins (cluster's default: 1 GiB).
    max_partition_bytes : int or None
        Size at which a partition's oldest segments are deleted (cluster's default: 100 GB).
    compression : Compression
        What producers must use; ANY lets each choose.
    deduplication : Deduplication or None
        None keeps every record.
    """

    partitions: int = 1
    replication: int = 1
    retention_s: int | None = None
    segment_bytes: int | None = None
    max_partition_bytes: int | None = None
    compression: Compression = Compression.ANY
    deduplication: Deduplication | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("partitions", self.partitions, 1),
            ("replication", self.replication, 1),
            ("retention_s", self.retention_s, RETENTION_S_MIN),
            ("segment_bytes", self.segment_bytes, 1),
            ("max_partition_bytes", self.max_partition_bytes, 1),
        ):
            most = 2**63 - 1 if name == "max_partition_bytes" else 2**32 - 1  # as on the wire
            if value is not None and not least <= value <= most:
                raise SettingError(f"topic setting {name} is {value}; give {least} to {most}")


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What the cluster says about one topic; None where it uses its default."""

    name: str
    partitions: int
    replication: int
    retention_s: int | None = None
    segment_bytes: int | None = None
    max_partition_bytes: int | None = None
    compression: Compression = Compression.ANY
    deduplication: Deduplication | None = None


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """What the cluster says about one partition.

    Attributes
    ----------
    leader : int
        The id of the SPU that serves it.
    replicas : tuple of int
        The ids of all SPUs that keep it.
    start_offset, end_offset : int
        The oldest offset it still has, and the next one it will give.
    size_bytes : int
        What its records take on the leader's disk, as last reported; -1 where it does not say.
    """

    topic: str
    partition: int
    leader: int
    replicas: tuple[int, ...]
    start_offset: int
    end_offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """How far a named consumer has read a partition.

    Attributes
    ----------
    offset : int
        The last record that it has read: it resumes after this one.
    modified_s : int
        When it said so, in seconds since the epoch, UTC.
    """

    consumer_id: str
    topic: str
    partition: int
    offset: int
    modified_s: int


class Producer(Protocol):
    """Writes records to a topic; those of one partition in order."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def sent(self) -> int:
        """Records taken by `send` and `send_many` so far."""
        ...

    @property
    def acknowledged(self) -> int:
        """Records the cluster has acknowledged so far; of one partition the first ones sent."""
        ...

    @property
    def is_usable(self) -> bool:
        """False once it has failed or was closed; it may fail without being used."""
        ...

    async def send(self, payload: bytes, key: bytes | None = None) -> None:
        """Take one record for sending; an empty key counts as none.

        Waits while too many bytes are unacknowledged. Returns before the record is written:
        `flush` makes sure.

        Raises
        ------
        RecordTooLarge
            Before anything is sent.
        FluvioError
            This or an earlier record could not be written. The producer is then of no more
            use; `acknowledged` says how many records the cluster has for certain.
        """
        ...

    async def send_many(
        self, payloads: Sequence[bytes], keys: Sequence[bytes | None] | None = None
    ) -> None:
        """Take many records for sending, with as many keys or none; the fast way for small ones.

        Raises and waits like `send`.
        """
        ...

    async def flush(self) -> None:
        """Return when the cluster has acknowledged every record sent so far, or raise."""
        ...

    async def aclose(self) -> None:
        """Flush within `close_seconds` and close; raises where records are unacknowledged."""
        ...

    def close(self) -> None:
        """Close at once; nobody knows whether what is unacknowledged is written."""
        ...


class Consumer(Protocol):
    """Reads records of one partition, each offset exactly once and in order."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def next_offset(self) -> int:
        """The offset of the record that comes next."""
        ...

    def __aiter__(self) -> AsyncIterator[Record]:
        """Records, for ever: at the end it waits for new ones."""
        ...

    async def __anext__(self) -> Record:
        """The next record; may be cancelled without losing one."""
        ...

    def batches(self) -> AsyncIterator[list[Record]]:
        """Records as non-empty lists, as many as have arrived; faster than one by one."""
        ...

    def read_until(self, end_offset: int) -> AsyncIterator[Record]:
        """Records before `end_offset`, then end. The consumer stays usable after it."""
        ...

    async def commit(self) -> None:
        """Have the cluster remember that every record given out so far was read.

        Returns once it has: a consumer of the same id then resumes after the last of them.

        Raises
        ------
        SettingError
            This consumer was opened without a consumer id.
        FluvioError
            The cluster did not confirm it; records may come again after a restart.
        """
        ...

    async def aclose(self) -> None:
        """Stop reading and free everything; never fails, whatever the cluster does."""
        ...


class Fluvio(Protocol):
    """One connection to a cluster. Every call has a deadline and raises `FluvioError`."""

    @property
    def endpoint(self) -> str:
        """``host:port`` of the cluster's SC."""
        ...

    async def create_topic(
        self,
        name: str,
        settings: TopicSettings | None = None,
        *,
        exist_ok: bool = False,
        dry_run: bool = False,
    ) -> None:
        """Create a topic and return when it can be written and read.

        A dry run only asks the cluster whether it would.

        Raises
        ------
        TopicExists
            Unless `exist_ok`; an existing topic keeps its settings.
        InvalidTopicName
            The name has other characters than a-z, 0-9 and hyphens, or is too long.
        """
        ...

    async def delete_topic(self, name: str, *, missing_ok: bool = False) -> None:
        """Delete a topic with its records; `TopicNotFound` unless `missing_ok`."""
        ...

    async def topics(self, *names: str) -> list[TopicInfo]:
        """All topics, or those of these names that there are, by name."""
        ...

    async def describe_topic(self, name: str) -> TopicInfo:
        """One topic, or `TopicNotFound`."""
        ...

    async def partitions(self, topic: str | None = None) -> list[PartitionInfo]:
        """All partitions, or those of one topic (`TopicNotFound`), by topic and number."""
        ...

    async def committed_offsets(
        self, *, consumer_id: str | None = None, topic: str | None = None
    ) -> list[CommittedOffset]:
        """What named consumers have committed, by consumer, topic and partition."""
        ...

    async def delete_committed_offset(
        self, consumer_id: str, topic: str, partition: int = 0
    ) -> None:
        """Forget what a named consumer has committed; nothing happens where there is nothing."""
        ...

    async def producer(
        self,
        topic: str,
        *,
        partition: int | None = 0,
        compression: Compression = Compression.NONE,
    ) -> Producer:
        """A producer, or `TopicNotFound`.

        Parameters
        ----------
        topic : str
            Its name.
        partition : int or None
            Where all records go; None spreads them over the topic's partitions as Fluvio does:
            those with a key by its hash, the others in turn.
        compression : Compression
            Of the batches; the topic must allow it. NONE and ANY do as the topic says, and leave
            batches as they are where it leaves the choice.

        Raises
        ------
        TopicNotFound
            No such topic or partition.
        SettingError
            The topic does not allow this compression.
        """
        ...

    async def consumer(
        self,
        topic: str,
        *,
        partition: int = 0,
        offset: Offset | None = None,
        consumer_id: str | None = None,
        isolation: Isolation = Isolation.READ_UNCOMMITTED,
    ) -> Consumer:
        """A consumer of one partition.

        Parameters
        ----------
        topic, partition
            What to read.
        offset : Offset, optional
            From where; the partition's beginning by default.
        consumer_id : str, optional
            The name under which `Consumer.commit` keeps how far it is. Where the cluster has an
            offset of that name, reading resumes after it and `offset` does not count.
        isolation : Isolation
            Which records may be seen.

        Raises
        ------
        TopicNotFound
            No such topic or partition.
        OffsetOutOfRange
            An absolute offset before the oldest record or after the end.
        """
        ...

    async def end_offset(self, topic: str, partition: int = 0) -> int:
        """The offset that the next record will get: the number of records ever written."""
        ...
