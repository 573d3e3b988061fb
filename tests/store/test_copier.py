"""Rows copied on a thread: all of them or an error, whoever fails first, and no thread left."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from qd_store.connections import connect
from qd_store.tables.copier import QUEUED_BLOCKS_MAX, Copier
from qd_store.tables.copying import MARK_COLUMNS, CopyRows

ENCODER_ROWS = 10


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(dsn) as opened:
        for table in ("one", "other"):
            columns = "market integer, sequence bigint UNIQUE, time timestamptz"
            opened.execute(f"CREATE TABLE {table} ({columns})".encode())
        yield opened
    assert "qd-copy" not in [thread.name for thread in threading.enumerate()]


def rows(first: int) -> memoryview:
    sequences = np.arange(first, first + ENCODER_ROWS)
    return CopyRows(7, MARK_COLUMNS).encoded(sequence=sequences, time=sequences)


def count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_tables_in_turns(connection: psycopg.Connection[Any]) -> None:
    encoder = CopyRows(7, MARK_COLUMNS)  # whose buffer is used again for each block
    with connection.transaction(), Copier(connection) as copier:
        for first in range(0, 400, ENCODER_ROWS):
            sequences = np.arange(first, first + ENCODER_ROWS)
            table = "one" if first % 70 else "other"
            copier.put(table, encoder.encoded(sequence=sequences, time=sequences))
    found = connection.execute(
        "SELECT sequence, extract(epoch FROM time) * 1000000 FROM one "
        "UNION ALL SELECT sequence, extract(epoch FROM time) * 1000000 FROM other ORDER BY 1"
    ).fetchall()
    assert found == [(number, number) for number in range(400)]
    assert count(connection, "other") == 6 * ENCODER_ROWS


@pytest.mark.parametrize("bad_at", [0, 1, 7])
def test_what_the_server_refuses_ends_the_block(
    connection: psycopg.Connection[Any], bad_at: int
) -> None:
    """Also where far more blocks come than the queue holds."""
    starts = [number * ENCODER_ROWS for number in range(bad_at + 10 * QUEUED_BLOCKS_MAX)]
    starts[bad_at + 1] = 0
    with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
        copy_all(connection, starts)
    assert count(connection, "one") == 0


@pytest.mark.parametrize("puts", [0, 1, 9])
def test_a_block_that_fails_copies_nothing(connection: psycopg.Connection[Any], puts: int) -> None:
    starts = [number * ENCODER_ROWS for number in range(puts)]
    with pytest.raises(ZeroDivisionError), connection.transaction():
        copy_all(connection, starts, fails=True)
    assert count(connection, "one") == 0


def copy_all(
    connection: psycopg.Connection[Any], starts: list[int], *, fails: bool = False
) -> None:
    with Copier(connection) as copier:
        for start in starts:
            copier.put("one", rows(start))
        if fails:
            raise ZeroDivisionError


LOST = """
import sys
import psycopg
from qd_store.connections import connect
from qd_store.tables.copier import copy_in

def rows():
    with connect(sys.argv[1]) as beside:
        beside.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
    while True:
        yield bytes(1_000_000)

with connect(sys.argv[1]) as connection:
    try:
        copy_in(connection, "one", rows())
    except psycopg.OperationalError:
        print("lost")
"""


def test_a_lost_connection_is_an_error_and_no_more(
    connection: psycopg.Connection[Any], dsn: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST, dsn], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("lost\n", "")


class AtTheEndOfATable(Copier):
    """Its thread has taken the next table's first rows when the block fails."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self._has_failed = threading.Event()

    def fail(self) -> None:
        self._abandoned = True  # as the end of the block does at once
        self._has_failed.set()
        raise ZeroDivisionError

    def _unless_abandoned(self, group: Any) -> Iterator[bytes]:
        yield from (data for _, data in group)
        self._has_failed.wait()
        yield from super()._unless_abandoned(iter(()))


def test_a_block_that_fails_with_a_full_queue_at_the_end_of_a_table(
    connection: psycopg.Connection[Any],
) -> None:
    copier = AtTheEndOfATable(connection)
    with pytest.raises(ZeroDivisionError), connection.transaction(), copier:
        fill_and_fail(copier)


def fill_and_fail(copier: AtTheEndOfATable) -> None:
    copier.put("one", rows(0))
    for number in range(1, QUEUED_BLOCKS_MAX + 2):
        copier.put("other", rows(number * ENCODER_ROWS))
    copier.fail()
