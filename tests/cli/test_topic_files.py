"""Files that declare topics: what they may hold, and what is said of what they may not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli import topic_files
from qd_cli.errors import FileBroken
from qd_cli.toml_files import FILE_BYTES_MAX
from qd_cli.topic_files import parse_topics, read_topics
from qd_fluvio import Compression, Deduplication, TopicSettings

EXAMPLE = """
[topics.prices]
partitions = 2
replication = 3
retention = "7d"
segment-size = "64MB"
max-partition-size = "1GiB"
compression = "zstd"
dedup-count = 1000
dedup-age = 60
dedup-filter = "mine"

[topics.volumes]
"""


def test_everything_can_be_said() -> None:
    assert parse_topics(EXAMPLE) == {
        "prices": TopicSettings(
            partitions=2,
            replication=3,
            retention_s=604_800,
            segment_bytes=64_000_000,
            max_partition_bytes=1 << 30,
            compression=Compression.ZSTD,
            deduplication=Deduplication(1_000, 60, "mine"),
        ),
        "volumes": TopicSettings(),
    }


def test_the_documented_example_is_read() -> None:
    assert topic_files.__doc__ is not None
    example = topic_files.__doc__.partition("::\n")[2].partition("Everything")[0]
    assert parse_topics(example)["prices"].segment_bytes == 64_000_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no topic in it; expected tables such as [topics.prices]"),
        ("topics = 3", "no topic in it"),
        ("[topic.prices]", "topic is not known; expected tables such as [topics.prices]"),
        ("topics.prices = 3", "topics.prices is 3; expected a table"),
        ("[topics.a]\nsize = 3", "topics.a.size is not known; expected partitions"),
        ("[topics.a]\npartitions = 'two'", "topics.a.partitions is 'two'; expected a whole"),
        ("[topics.a]\npartitions = true", "topics.a.partitions is True; expected a whole"),
        ("[topics.a]\npartitions = 0", "topics.a: topic setting partitions is 0; give 1"),
        ("[topics.a]\nretention = 'soon'", "topics.a.retention is 'soon'; expected seconds"),
        ("[topics.a]\nretention = 1.5", "topics.a.retention is '1.5'; expected seconds"),
        ("[topics.a]\nretention = 5", "topics.a: topic setting retention_s is 5; give 10"),
        ("[topics.a]\nsegment-size = '1M'", "topics.a.segment-size is '1M'; expected bytes"),
        ("[topics.a]\ncompression = 'rar'", "topics.a.compression is 'rar'; expected one of"),
        ("[topics.a]\ndedup-age = '1h'", "dedup-age is given without dedup-count"),
        ("[topics.a]\ndedup-count = 0", "topics.a: deduplication count is 0; give 1"),
        ("[topics.a]\ndedup-count = 1\ndedup-filter = ''", "topics.a.dedup-filter is ''"),
        ("[topics.a]\n[topics.a]", "line 2"),
        ("[topics.a]\npartitions = = 2", "line 2"),
    ],
)
def test_an_error_names_the_file_and_the_place(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(text)
    with pytest.raises(FileBroken) as caught:
        read_topics(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"), [(b"\xff", "is no TOML"), (b"#" * (FILE_BYTES_MAX + 1), "more than")]
)
def test_what_is_no_such_file_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "topics.toml"
    path.write_bytes(content)
    with pytest.raises(FileBroken, match=says):
        read_topics(path)


@given(st.text(alphabet="[]topics.a=\"'\n0123456789-", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_topics(text)
