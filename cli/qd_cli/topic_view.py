"""Topics' settings as people read them. Only text."""

from __future__ import annotations

from qd_cli.units import exact_bytes, exact_seconds
from qd_fluvio import Compression, Deduplication, TopicInfo

DEFAULT = "default"
COLUMNS = ("TOPIC", "PARTITIONS", "REPLICATION", "RETENTION", "SEGMENT", "MAX SIZE", "COMPRESSION")
RIGHT = COLUMNS[1:-1]

TITLES = {
    "partitions": "partitions",
    "replication": "replication",
    "retention_s": "retention",
    "segment_bytes": "segment size",
    "max_partition_bytes": "max partition size",
    "compression": "compression",
    "deduplication": "deduplication",
}
"""What each setting is called."""


def shown(setting: str, value: object) -> str:
    """Write one setting's value; None is the cluster's default."""
    if isinstance(value, Deduplication):
        age = "" if value.age_s is None else f" of {exact_seconds(value.age_s)}"
        return f"by {value.filter} over the last {value.count} records{age}"
    if value is None:
        return "none" if setting == "deduplication" else DEFAULT
    if isinstance(value, Compression):
        return value.value
    if isinstance(value, int) and setting.endswith("_s"):
        return exact_seconds(value)
    if isinstance(value, int) and setting.endswith("_bytes"):
        return exact_bytes(value)
    return str(value)


def row(topic: TopicInfo) -> tuple[str, ...]:
    """One line of a list of topics, by `COLUMNS`."""
    settings = [name for name in TITLES if name != "deduplication"]
    return (topic.name, *(shown(name, getattr(topic, name)) for name in settings))
