"""The database's errors in this package's words."""

from __future__ import annotations

import psycopg
import pytest

from qd_store.connections import translated
from qd_store.errors import (
    ConnectionLost,
    QueryFailed,
    QueryTimedOut,
    RightMissing,
    SchemaMismatch,
    StoreError,
)


@pytest.mark.parametrize(
    ("error", "expected", "says"),
    [
        (psycopg.errors.UndefinedTable("no trade"), SchemaMismatch, "`qd db migrate`"),
        (psycopg.errors.InsufficientPrivilege("no"), RightMissing, "`qd db roles`"),
        (psycopg.errors.DiskFull("could not extend file"), QueryFailed, "enlarge its volume"),
        (psycopg.errors.QueryCanceled("timeout"), QueryTimedOut, "raise its statement_timeout"),
        (psycopg.errors.QueryCanceled("user request"), QueryFailed, "refused a statement"),
        (psycopg.errors.AdminShutdown("bye"), ConnectionLost, "try again"),
        (psycopg.OperationalError("gone"), ConnectionLost, "try again"),
        (psycopg.errors.DivisionByZero("no"), QueryFailed, "refused a statement"),
    ],
)
def test_errors_are_translated(error: psycopg.Error, expected: type[StoreError], says: str) -> None:
    found = translated(error)
    assert type(found) is expected
    assert str(error) in str(found)
    assert says in str(found)
