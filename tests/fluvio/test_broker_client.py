"""The official client library, unmodified, against a broker process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.official import ENVIRONMENT, run_script
from support.processes import Process, running

SCENES = Path(__file__).with_name("official_scenes.py")


def play(scene: str, endpoint: str, *arguments: str) -> Any:
    """The result of a scene, played in a process of its own."""
    return run_script(SCENES, scene, endpoint, *arguments)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own: its scenes have fixed topic names."""
    folder = tmp_path_factory.mktemp("client")
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        yield ready["endpoint"]


def test_produce_and_consume_in_all_ways(endpoint: str) -> None:
    assert play("round_trip", endpoint) == {
        "first": 0,
        "async": 4,
        "rows": [[0, "k0", "v0"], [1, "", "v1"], *([i, f"k{i}", f"v{i}"] for i in (2, 3, 4))],
    }


def test_every_kind_of_offset(endpoint: str) -> None:
    found = play("offsets", endpoint)
    expected = {
        "beginning": range(10),
        "from_beginning(3)": range(3, 10),
        "absolute(7)": range(7, 10),
        "from_end(2)": range(8, 10),
        "max_bytes": range(10),
    }
    assert found == {name: [list(offsets)] * 2 for name, offsets in expected.items()}


def test_a_stream_from_the_end_gets_what_comes(endpoint: str) -> None:
    assert play("at_the_end", endpoint) == ["after 0", "after 1", "after 2"]


def test_ten_thousand_small_records(endpoint: str) -> None:
    assert play("small_records", endpoint) == [True, True]


def test_five_hundred_large_records_without_a_loss(endpoint: str) -> None:
    assert play("large_records", endpoint) == [True, True]


def test_several_partitions(endpoint: str) -> None:
    found = play("partitions", endpoint)
    keys = [{key for _, key, _ in part} for part in found["parts"]]
    assert sum(len(part) for part in found["parts"]) == 30
    assert sum(len(part) for part in keys) == len(set().union(*keys)) == 5
    for part in found["parts"]:
        assert [offset for offset, _, _ in part] == list(range(len(part)))
    assert found["together"] == list(range(30))


def test_topics_come_and_go_with_the_errors_of_a_real_cluster(endpoint: str) -> None:
    assert play("topics", endpoint) == {
        "listed": 2,
        "exists": "Topic already exists",
        "bad name": "Invalid topic name: topic name may only include lowercase letters (a-z), "
        "numbers (0-9), and hyphens (-).",
        "producer on nothing": "Topic not found: nope",
        "left": 1,
        "delete nothing": "Topic not found",
        "producer on deleted": "Topic not found: listed-a",
        "new life": [[0, "", "new life"]],
    }


def test_committed_offsets(endpoint: str) -> None:
    assert play("consumer_offsets", endpoint) == {
        "seen": ["0", "1", "2", "3"],
        "kept": [["c1", 3]],
        "rest": ["4", "5", "6"],
        "left": 0,
    }


def start(folder: Path, *arguments: str) -> tuple[Process, str, str]:
    broker = Process("qd_fluvio.broker", "--data", str(folder / "data"), *arguments, folder=folder)
    ready = broker.wait_ready()
    return broker, ready["endpoint"], ready["spu"]


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_restart_keeps_everything_and_offsets_go_on(tmp_path: Path, durability: str) -> None:
    for turn in range(3):
        broker, endpoint, _ = start(tmp_path, "--durability", durability)
        try:
            assert play("write", endpoint, "kept", "20") == "done"
            found = play("read", endpoint, "kept")
            assert [offset for offset, _, _ in found] == list(range(40 * (turn + 1)))
            numbers = [value for _, _, value in found if not value.startswith(".")]
            assert numbers == [str(number) for number in range(20)] * (turn + 1)
        finally:
            assert broker.stop() == 0


@pytest.mark.parametrize("acknowledged_min", [1, 25, 120])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged_min: int) -> None:
    broker, endpoint, _ = start(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, str(SCENES), "write", endpoint, "killed", "1000000"],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(acknowledged_min)]
        broker.kill()
    finally:
        writer.kill()
        rest, _ = writer.communicate()
    acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    broker, endpoint, _ = start(tmp_path)
    try:
        found = {offset: value for offset, _, value in play("read", endpoint, "killed")}
        assert acknowledged == list(range(0, 2 * len(acknowledged), 2))
        for number, offset in enumerate(acknowledged):
            assert found[offset] == str(number)
            assert found[offset + 1] == "." * 2_000
        assert sorted(found) == list(range(len(found)))
        # The next write goes on after the last record that was kept.
        assert play("write", endpoint, "killed", "1") == "done"
        assert len(play("read", endpoint, "killed")) == len(found) + 2
    finally:
        broker.stop()
