"""``qd topics`` and ``qd partitions`` on a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qd_cli.errors import ExitCode
from qd_schemas.topics import SYSTEM_TOPICS
from support.commands import Qd
from support.layer import Broker


def test_a_topic_with_everything_is_created_described_and_deleted(qd: Qd, topic: str) -> None:
    done = qd(
        *("topics", "create", topic, "--partitions", "2", "--retention", "2h"),
        *("--segment-size", "64MB", "--max-partition-size", "1GiB", "--compression", "zstd"),
    )
    assert (done.code, done.err) == (0, f"created topic {topic}\n")
    (found,) = qd.json("topics", "describe", topic)
    offsets = found.pop("offsets")
    assert found == {
        "name": topic,
        "partitions": 2,
        "replication": 1,
        "retention_s": 7_200,
        "segment_bytes": 64_000_000,
        "max_partition_bytes": 1 << 30,
        "compression": "zstd",
        "deduplication": None,
    }
    assert [(part["partition"], part["end_offset"]) for part in offsets] == [(0, 0), (1, 0)]
    assert qd.json("partitions", "list", "--topic", topic) == offsets
    text = qd("topics", "describe", topic).out
    for part in ("retention           2h", "64MB", "1GiB", "zstd", "PARTITION  LEADER"):
        assert part in text
    (row,) = [line.split() for line in qd("topics", "list").lines if line.startswith(topic)]
    assert row == [topic, "2", "1", "2h", "64MB", "1GiB", "zstd"]
    assert qd("topics", "delete", topic, "--yes").code == 0
    assert qd("topics", "describe", topic).code == ExitCode.FAILED


def test_a_topic_that_exists(qd: Qd, topic: str) -> None:
    assert qd("topics", "create", topic).code == 0
    again = qd("topics", "create", topic)
    assert again.code == ExitCode.FAILED
    assert "already exists" in again.err
    assert qd("topics", "create", topic, "-p", "2", "--if-not-exists").err == (
        f"topic {topic} exists\n"
    )
    assert qd.json("topics", "describe", topic)[0]["partitions"] == 1


def test_a_dry_run_creates_nothing(qd: Qd, topic: str) -> None:
    assert qd("topics", "create", topic, "--dry-run").err == f"topic {topic} could be created\n"
    assert qd("topics", "describe", topic).code == ExitCode.FAILED
    assert qd("topics", "create", topic).code == 0
    assert qd("topics", "create", topic, "--dry-run").code == ExitCode.FAILED


def test_several_topics_of_a_file(qd: Qd, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(f'[topics.{topic}-a]\npartitions = 2\n[topics.{topic}-b]\nretention = "1h"\n')
    created = qd.json("topics", "create", "--file", file)
    assert [event["topic"] for event in created] == [f"{topic}-a", f"{topic}-b"]
    assert qd.json("topics", "describe", f"{topic}-b")[0]["retention_s"] == 3_600
    deleted = qd(
        "topics", "delete", f"{topic}-a", f"{topic}-b", f"{topic}-c", "--yes", "--if-exists"
    )
    assert deleted.err.splitlines() == [
        f"deleted topic {topic}-a",
        f"deleted topic {topic}-b",
        f"there is no topic {topic}-c",
    ]


def test_deleting_asks(qd: Qd, topic: str) -> None:
    qd("topics", "create", topic)
    refused = qd("topics", "delete", topic)
    assert refused.code == ExitCode.FAILED
    assert f"Delete topic {topic} with all records, at 127.0.0.1:" in refused.err
    assert "give --yes" in refused.err
    assert qd("topics", "describe", topic).code == 0
    assert qd("topics", "delete", f"{topic}-missing", "--yes").code == ExitCode.FAILED


def test_what_differs_is_reported_and_left_alone(qd: Qd, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "topics.toml"
    file.write_text(f'[topics.{topic}]\nretention = "1h"\n[topics.{topic}-new]\n')
    qd("topics", "create", topic, "--retention", "2h", "--segment-size", "1MiB")
    dry = qd("topics", "apply", file, "--dry-run", "--json")
    assert dry.code == ExitCode.DIFFERS
    assert qd("topics", "describe", f"{topic}-new").code == ExitCode.FAILED
    done = qd("topics", "apply", file)
    assert done.code == ExitCode.DIFFERS
    assert [line.split()[:2] for line in done.lines[1:]] == [
        [topic, "differs"],
        [f"{topic}-new", "created"],
    ]
    assert "retention is 2h, declared 1h" in done.out
    assert f"`qd topics delete {topic}`" in done.err
    assert qd.json("topics", "describe", topic)[0]["retention_s"] == 7_200
    qd("topics", "delete", topic, "--yes")
    assert {row["state"] for row in qd.json("topics", "apply", file)} == {"created", "matches"}


@pytest.fixture
def own_broker(bare_qd: Qd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Qd]:
    """A ``qd`` on a broker that nobody else uses."""
    broker = Broker(tmp_path)
    monkeypatch.setenv("QD_FLUVIO", broker.endpoint)
    yield bare_qd
    broker.close()


def test_the_systems_own_topics_are_applied(own_broker: Qd) -> None:
    qd = own_broker
    missing = qd("topics", "apply", "--dry-run")
    assert missing.code == ExitCode.DIFFERS
    assert missing.out.count("missing") == len(SYSTEM_TOPICS)
    for state in ("created", "matches"):
        applied = qd.json("topics", "apply")
        assert {row["name"]: row["state"] for row in applied} == dict.fromkeys(SYSTEM_TOPICS, state)
    found = {row["name"]: row["retention_s"] for row in qd.json("topics", "list")}
    assert found == {name: layout.retention_s for name, layout in SYSTEM_TOPICS.items()}
