"""The statements of docs/store.md give roles what `qd db roles` gives, without a superuser."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from qd_store.administration.roles import apply_roles, role_names
from qd_store.connections import connect
from qd_store.migrate import migrate
from qd_store.tables import TableKind
from support.roles import drop_roles

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "store.md"
ONCE, AFTER_MIGRATIONS = re.findall(
    r"```sql\n(.*?)```", DOCUMENT.read_text().partition("### Roles by hand")[2], re.DOTALL
)

_RELATIONS = """
SELECT r.rolname, c.relname, privilege FROM pg_roles r, pg_class c,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
    AS privilege
WHERE r.rolname = ANY(%(roles)s) AND c.relnamespace = 'public'::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'S') AND has_table_privilege(r.oid, c.oid, privilege)
"""
_COLUMNS = """
SELECT r.rolname, c.relname, attname, privilege FROM pg_roles r, pg_class c, pg_attribute,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
WHERE r.rolname = ANY(%(roles)s) AND c.relnamespace = 'public'::regnamespace
    AND attrelid = c.oid AND attnum > 0 AND c.relkind IN ('r', 'p')
    AND has_column_privilege(r.oid, c.oid, attnum, privilege)
"""
_FUNCTIONS = """
SELECT r.rolname, proname FROM pg_roles r, pg_proc p
WHERE r.rolname = ANY(%(roles)s) AND pronamespace = 'public'::regnamespace
    AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
"""
_OTHERS = """
SELECT r.rolname, privilege FROM pg_roles r, unnest(ARRAY['CREATE', 'USAGE']) AS privilege
WHERE r.rolname = ANY(%(roles)s) AND has_schema_privilege(r.oid, 'public', privilege)
UNION ALL
SELECT r.rolname, privilege || ' database' FROM pg_roles r,
    unnest(ARRAY['CREATE', 'CONNECT', 'TEMPORARY']) AS privilege
WHERE r.rolname = ANY(%(roles)s)
    AND has_database_privilege(r.oid, current_database(), privilege)
UNION ALL
SELECT rolname, concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolconfig::text)
FROM pg_roles WHERE rolname = ANY(%(roles)s)
"""


def _rights(connection: psycopg.Connection[Any], roles: list[str]) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for query in (_RELATIONS, _COLUMNS, _FUNCTIONS, _OTHERS):
        found |= set(connection.execute(query.encode(), {"roles": roles}).fetchall())
    return found


def _at(dsn: str, **changed: str) -> str:
    known = {name: value for name, value in conninfo_to_dict(dsn).items() if value is not None}
    return make_conninfo("", **{**known, **changed})


def test_they_give_what_the_command_gives(database_dsn: str) -> None:
    prefix = f"t{secrets.token_hex(4)}"
    admin, roles = f"{prefix}_admin", list(role_names(prefix).values())
    once, rights = (re.sub(r"\bqd(?=[_ ;\n])", prefix, each) for each in (ONCE, AFTER_MIGRATIONS))
    before, after = once.split(f"\\connect {prefix}\n")
    assert after.startswith("CREATE EXTENSION IF NOT EXISTS timescaledb;")
    with connect(database_dsn) as boss:
        boss.execute(f"CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB PASSWORD 'word'".encode())
    try:
        with connect(_at(database_dsn, user=admin, password="word")) as connection:
            for statement in re.split(r";.*\n", before)[:-1]:
                connection.execute(statement.encode())
            connection.execute(f"ALTER ROLE {prefix}_owner PASSWORD 'word'".encode())
        owner = _at(database_dsn, user=f"{prefix}_owner", password="word", dbname=prefix)
        with connect(owner) as connection:
            migrate(connection, TableKind.PLAIN)
            connection.execute(rights.encode())
            connection.execute(rights.encode())  # again changes nothing
            by_hand = _rights(connection, roles)
        boss_there = _at(database_dsn, dbname=prefix)
        apply_roles(boss_there, prefix=prefix)
        with connect(boss_there) as connection:
            assert by_hand == _rights(connection, roles)
    finally:
        with connect(database_dsn) as boss:
            boss.execute(f"DROP DATABASE IF EXISTS {prefix} WITH (FORCE)".encode())
            drop_roles(database_dsn, prefix)
            boss.execute(f"DROP OWNED BY {admin} CASCADE".encode())
            boss.execute(f"DROP ROLE {admin}".encode())
