"""Which of a partition's files its topic does not want any more. No files, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qd_fluvio.broker.policy import LogPolicy


@dataclass(frozen=True, slots=True)
class FileAge:
    """One file: its size, and when its newest record was written."""

    size_bytes: int
    modified_s: float


def expired(item: FileAge, policy: LogPolicy, now_s: float) -> bool:
    """Whether all of a file's records are older than the topic keeps them."""
    return item.size_bytes > 0 and now_s - item.modified_s > policy.retention_s


def expendable(files: Sequence[FileAge], policy: LogPolicy, now_s: float) -> int:
    """How many of the oldest files go; never the last, which is written to.

    Those go that are too old, and then those that are too many: a file stays while it and
    the later ones fit into the partition's size.
    """
    count = 0
    excess = sum(item.size_bytes for item in files) - policy.partition_bytes_max
    for item in files[:-1]:
        if excess <= 0 and not expired(item, policy, now_s):
            break
        excess -= item.size_bytes
        count += 1
    return count
