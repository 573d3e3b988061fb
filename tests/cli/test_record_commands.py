"""``qd produce`` and ``qd consume`` on a broker, and ``qd offsets`` after them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from qd_cli.errors import ExitCode
from qd_fluvio import RECORD_BYTES_MAX
from qd_schemas.arrays import TRADE
from qd_schemas.codec import encode
from qd_schemas.frames import trade_frames
from qd_schemas.messages import BreakoutAlert, StartData
from support.commands import Qd
from support.layer import Broker
from support.terminal import CTRL_C, on_terminal

SECONDS_MAX = 60.0


@pytest.fixture(params=["official", "native"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which client qd uses."""
    monkeypatch.setenv("QD_FLUVIO_CLIENT", request.param)
    return str(request.param)


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "qd_cli", *arguments],
        input=stdin,
        capture_output=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.mark.usefixtures("client")
def test_lines_come_back_in_order(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    numbers = [str(number) for number in range(20_000)]
    (report,) = qd.json("produce", topic, "--file", write(tmp_path / "in", numbers))
    assert (report["records"], report["bytes"]) == (20_000, sum(map(len, numbers)))
    assert qd("consume", topic, "--beginning", "-d").lines == numbers


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_come_back(
    qd: Qd, topic: str, tmp_path: Path, client: str, compression: str
) -> None:
    qd("topics", "create", topic)
    lines = ["a line that repeats"] * 1_000
    file = write(tmp_path / "in", lines)
    assert qd("produce", topic, "--file", file, "--compression", compression).code == 0
    assert qd("consume", topic, "--beginning", "-d").lines == lines


RANGES = [
    (("--beginning",), range(10)),
    (("-B", "-n", "3"), range(3)),
    (("--head", "4"), range(4, 10)),
    (("--head", "99"), range(0)),
    (("--tail", "3"), range(7, 10)),
    (("--tail", "99"), range(10)),
    (("--offset", "8"), range(8, 10)),
    (("--start", "2", "--end-offset", "5"), range(2, 6)),
    (("-B", "--end", "0"), range(1)),
    (("-B", "--end", "99"), range(10)),
    ((), range(0)),
    (("-B", "--isolation", "read-committed"), range(10)),
]


def test_ranges_of_offsets(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    qd("produce", topic, "--file", write(tmp_path / "in", [str(n) for n in range(10)]))
    for options, expected in RANGES:
        done = qd("consume", topic, "-d", *options)
        assert (done.code, done.lines) == (0, [str(n) for n in expected]), options
    outside = qd("consume", topic, "-d", "--offset", "11")
    assert outside.code == ExitCode.FAILED
    assert "11" in outside.err
    # Without -d these end by themselves.
    assert qd("consume", topic, "-B", "--end-offset", "3").lines == list("0123")
    assert qd("consume", topic, "-B", "--max-records", "2").lines == list("01")


@pytest.mark.usefixtures("client")
def test_keys_choose_the_partition(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic, "--partitions", "3")
    file = write(tmp_path / "in", [f"k{n % 5}={n}" for n in range(100)])
    assert qd("produce", topic, "--file", file, "--key-separator", "=").code == 0
    found = qd.json("consume", topic, "-B", "-d")
    assert sorted(int(record["value"]) for record in found) == list(range(100))
    where = {record["key"]: record["partition"] for record in found}
    assert all(record["partition"] == where[record["key"]] for record in found)
    for key in where:  # each one's records in the order they were sent
        values = [int(record["value"]) for record in found if record["key"] == key]
        assert values == sorted(values)
    some = qd.json("consume", topic, "-B", "-d", "-p", "0", "-p", "2")
    assert {record["partition"] for record in some} <= {0, 2}
    assert len(some) == sum(1 for record in found if record["partition"] != 1)
    missing = qd("consume", topic, "-B", "-d", "-p", "7")
    assert "has no partition 7: it has 0 to 2" in missing.err


def test_one_partition_and_one_key_for_all(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic, "--partitions", "2")
    file = write(tmp_path / "in", ["a", "b"])
    qd("produce", topic, "--file", file, "--partition", "1", "--key", "k")
    assert qd("consume", topic, "-B", "-d", "-k").lines == ["[k] a", "[k] b"]
    assert qd("consume", topic, "-B", "-d", "-F", "{{partition}}:{{offset}}").lines == [
        "1:0",
        "1:1",
    ]


def test_several_topics(qd: Qd, topic: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        qd("topics", "create", f"{topic}-{name}")
        qd("produce", f"{topic}-{name}", "--file", write(tmp_path / name, [name]))
    done = qd("consume", f"{topic}-a", f"{topic}-b", "-B", "-d")
    assert sorted(done.lines) == ["a", "b"]
    missing = qd("consume", f"{topic}-a", f"{topic}-c", "-B", "-d")
    assert missing.code == ExitCode.FAILED
    assert f"{topic}-c" in missing.err


def test_any_bytes_go_there_and_back(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    whole = bytes(range(256)) * 1_000
    (tmp_path / "in").write_bytes(whole)
    assert qd("produce", topic, "--file", tmp_path / "in", "--raw").code == 0
    assert qd("consume", topic, "-B", "-d", "--output", "raw").bytes == whole
    assert qd("consume", topic, "-B", "-d", "--output", "hex").out == whole.hex() + "\n"
    copied = run(
        "produce", topic, "--json-lines", stdin=qd("consume", topic, "-B", "-d", "--json").bytes
    )
    assert copied.returncode == 0, copied.stderr
    assert qd("consume", topic, "--tail", "1", "-d", "--output", "raw").bytes == whole


def test_messages_of_the_system(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    rows = np.array([(5, 1_000_000, 1.5, 2.0), (6, 2_000_000, 1.25, 3.0)], TRADE)
    start = StartData(client_id=30, exchange_id=1, symbol_id=9, time_resolution=0, data_type_id=4)
    alert = BreakoutAlert(9, 1, 1, 1, 3_000_000, 7.5, 6, 1.0, float("nan"), 1.0, 1.0)
    values = [*trade_frames(rows, symbol_id=9, stream_id=2), encode(alert) + encode(start), b"?"]
    for value in values:
        (tmp_path / "in").write_bytes(value)
        assert qd("produce", topic, "--file", tmp_path / "in", "--raw").code == 0
    done = qd("consume", topic, "-B", "-d", "--output", "sbe")
    first, second, third, fourth, fifth = map(json.loads, done.lines)
    assert first == {
        "topic": topic,
        "partition": 0,
        "offset": 0,
        "message": "ExactTrade",
        "symbol_id": 9,
        "stream_id": 2,
        "sequence": 5,
        "time": "1970-01-01T00:00:01Z",
        "price": 1.5,
        "volume": 2.0,
    }
    assert (second["sequence"], second["price"]) == (6, 1.25)
    assert (third["message"], third["signal"], third["exchange_id"]) == (
        *("BreakoutAlert", "rose", "kraken"),
    )
    assert (third["previous_high"], third["date_time"]) == (None, "1970-01-01T00:00:03Z")
    assert (fourth["message"], fourth["offset"], fourth["start_time"]) == ("StartData", 1, None)
    assert "where a header of 8 was expected" in fifth["error"]
    assert done.code == ExitCode.FAILED
    assert (
        f"1 of 3 records are no messages of the schema, the first one is record 2 of {topic}"
        in (done.err)
    )


@pytest.mark.usefixtures("client")
def test_a_named_consumer_goes_on_where_it_was(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    qd("produce", topic, "--file", write(tmp_path / "in", [str(n) for n in range(10)]))
    me = ("--consumer", f"me-{topic}")
    assert qd("consume", topic, "-B", *me, "-n", "3").lines == list("012")
    (shown,) = qd.json("offsets", "show", me[1])
    assert (shown["offset"], shown["end_offset"], shown["unread"]) == (2, 10, 7)
    assert qd("consume", topic, *me, "-n", "2").lines == list("34")
    assert qd("consume", topic, *me, "--end-offset", "6").lines == list("56")
    assert qd("consume", topic, *me, "-d").lines == list("789")
    assert qd("consume", topic, *me, "-d").lines == []
    (listed,) = qd.json("offsets", "list", "--topic", topic)
    assert (listed["consumer_id"], listed["partition"], listed["offset"]) == (me[1], 0, 9)
    assert "give --yes" in qd("offsets", "delete", me[1]).err
    assert qd("offsets", "delete", me[1], "--yes").code == 0
    assert qd("offsets", "show", me[1]).code == ExitCode.FAILED
    assert qd("consume", topic, *me, "-d", "-B").lines == list("0123456789")


def test_a_bad_line_ends_it_but_loses_nothing_before(qd: Qd, topic: str, tmp_path: Path) -> None:
    qd("topics", "create", topic)
    done = qd(
        *("produce", topic, "--key-separator", ","),
        *("--file", write(tmp_path / "in", ["a,1", "b,2", "c", "d,4"])),
    )
    assert done.code == ExitCode.FAILED
    assert "line 3 has no ','" in done.err
    assert "the 2 records before it are produced" in done.err
    assert qd("consume", topic, "-B", "-d").lines == ["1", "2"]
    lines = ["x" * 1_000] * 1_000 + ["y" * (RECORD_BYTES_MAX + 1)]
    done = qd("produce", topic, "--file", write(tmp_path / "in", lines))
    assert done.code == ExitCode.FAILED
    assert "line 1001 has more than" in done.err
    assert "the 1000 records before it are produced" in done.err
    assert len(qd("consume", topic, "-B", "-d").lines) == 1_002


def test_a_topic_that_is_not_there(qd: Qd, topic: str) -> None:
    for command in (("produce", topic, "--file", os.devnull), ("consume", topic)):
        done = qd(*command)
        assert done.code == ExitCode.FAILED
        assert f"topic '{topic}' is not on the cluster" in done.err
        assert "Traceback" not in done.err


def test_standard_input_and_a_closed_pipe(qd: Qd, topic: str) -> None:
    qd("topics", "create", topic)
    produced = run("produce", topic, stdin=b"".join(b"%d\n" % n for n in range(100_000)))
    assert produced.returncode == 0, produced.stderr
    assert b"produced 100,000 records" in produced.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "qd_cli", "consume", topic, "--beginning"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.SIGNALLED + signal.SIGPIPE


def test_following_and_typing_on_terminals(qd: Qd, topic: str) -> None:
    qd("topics", "create", topic)
    with (
        on_terminal(["-m", "qd_cli", "consume", topic, "-B"], {}) as reader,
        on_terminal(["-m", "qd_cli", "produce", topic], {}) as writer,
    ):
        writer.until("Ctrl-D ends")
        writer.press(b"hello\n")
        reader.until("hello")
        writer.press(b"\x1b[31mred\n")
        reader.until("\\x1b[31mred")
        writer.press(b"\x04")
        assert writer.wait() == 0
        assert b"produced 2 records" in writer.screen
        reader.press(CTRL_C)
        assert reader.wait() == ExitCode.SIGNALLED + signal.SIGINT
        assert b"Traceback" not in reader.screen


def test_ctrl_c_at_an_input_that_never_ends(qd: Qd, topic: str) -> None:
    qd("topics", "create", topic)
    with on_terminal(["-m", "qd_cli", "produce", topic], {}) as writer:
        writer.until("Ctrl-D ends")
        writer.press(b"hello\n")
        qd("consume", topic, "-B", "-n", "1")
        writer.press(CTRL_C)
        assert writer.wait() == ExitCode.SIGNALLED + signal.SIGINT
        assert b"1 of 1 records are acknowledged" in writer.screen
        assert b"Traceback" not in writer.screen


def test_a_broker_that_dies_while_producing(
    bare_qd: Qd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(tmp_path)
    monkeypatch.setenv("QD_FLUVIO", broker.endpoint)
    assert bare_qd("topics", "create", "t").code == 0
    with subprocess.Popen(
        [sys.executable, "-m", "qd_cli", "produce", "t"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"first\n")
        process.stdin.flush()
        assert bare_qd("consume", "t", "-B", "-n", "1").lines == ["first"]
        broker.kill()
        process.stdin.write(b"second\n")
        process.stdin.close()
        error = process.stderr.read().decode()
    assert process.returncode == ExitCode.FAILED
    # The consumer may have the first record before the producer has its acknowledgement.
    told = re.search(r"([01]) of 2 records that were sent are acknowledged: go on .* (\d)", error)
    assert told is not None
    assert int(told[2]) == int(told[1]) + 1
    assert "Traceback" not in error
    broker.close()
