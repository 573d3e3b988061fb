"""Partitions as a table."""

from __future__ import annotations

from collections.abc import Sequence

from qd_cli import console
from qd_cli.units import short_bytes
from qd_fluvio import PartitionInfo

_COLUMNS = ("TOPIC", "PARTITION", "LEADER", "REPLICAS", "START", "END", "RECORDS", "SIZE")


def print_partitions(partitions: Sequence[PartitionInfo], *, with_topic: bool) -> None:
    """Print a line for each partition."""
    skipped = 0 if with_topic else 1
    columns = _COLUMNS[skipped:]
    rows = [_row(partition)[skipped:] for partition in partitions]
    console.print_table(columns, rows, right=_COLUMNS[1:])


def _row(partition: PartitionInfo) -> tuple[str, ...]:
    return (
        partition.topic,
        str(partition.partition),
        str(partition.leader),
        ",".join(str(spu) for spu in partition.replicas),
        str(partition.start_offset),
        str(partition.end_offset),
        console.count(partition.end_offset - partition.start_offset),
        "-" if partition.size_bytes < 0 else short_bytes(partition.size_bytes),
    )
