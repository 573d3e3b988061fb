"""Each role can do its work on either kind of tables, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import errors, sql

from qd_store.administration.check import check_markets, repair_markets
from qd_store.administration.roles import (
    PasswordState,
    Purpose,
    apply_roles,
    passwords_of,
    role_names,
)
from qd_store.connections import connect
from qd_store.errors import DatabaseUnreachable, RightMissing, RolesRefused
from qd_store.imports import FileState, import_paths
from qd_store.migrate import check_version, migrate
from qd_store.tables import BAR_TABLES, refresh_bars
from support.databases import fresh_database
from support.markets import generated, write_csv
from support.roles import Roles, drop_roles, roles_of

OWNER, IMPORTER, GATEWAY, SYMDB = Purpose
BARS = tuple(BAR_TABLES.values())
SYMBOLS = ("schema_version", "exchange", "symbol")
READ_BY = {
    IMPORTER: (*SYMBOLS, "table_kind", "trade", "trade_mark", "import_file", *BARS),
    GATEWAY: (*SYMBOLS, "table_kind", "trade", "trade_mark", *BARS),
    SYMDB: SYMBOLS,
}
TABLES = (*SYMBOLS, "table_kind", "trade", "trade_mark", "import_file")


@pytest.fixture(scope="module")
def roles(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """Two markets, imported by the importer."""
    folder = tmp_path_factory.mktemp("roles")
    write_csv(generated(1), folder / "XBTUSD.csv")
    write_csv(generated(2, 9_000), folder / "XBTEUR.csv")
    with roles_of(database_dsn) as found:
        report = import_paths(
            found.dsn(IMPORTER), [folder], rejects_folder=folder / "rejects", parallel=2
        )
        assert report.rows == 14_000
        yield found


def test_an_importer_adds_what_is_new_and_brings_bars_up_to_it(
    roles: Roles, tmp_path: Path
) -> None:
    path, rows = tmp_path / "XBTGBP.csv", generated(3, 3_000)
    for count, state in ((2_000, FileState.IMPORTED), (3_000, FileState.APPENDED)):
        write_csv(rows[:count], path)
        report = import_paths(roles.dsn(IMPORTER), [path], rejects_folder=tmp_path / "rejects")
        assert report.files[0].state is state
    refresh_bars(roles.dsn(IMPORTER), everything=True)
    assert all(report.is_sound for report in check_markets(roles.dsn(GATEWAY)))


def test_an_owner_migrates_a_database_of_its_own_and_makes_tables(database_dsn: str) -> None:
    with fresh_database(database_dsn) as admin:
        prefix = "t" + admin.rpartition("_")[2][:8]
        try:
            apply_roles(admin, {OWNER: "word"}, prefix=prefix)
            owner = Roles(admin, prefix, {OWNER: "word"}).dsn(OWNER)
            with connect(owner) as connection:
                assert migrate(connection)
            apply_roles(admin, {IMPORTER: "word"}, prefix=prefix)
            with connect(owner) as connection:
                check_version(connection)
                connection.execute("CREATE TABLE later (id integer)")
                connection.execute("SELECT FROM trade, bar_1m, bar_1y")
        finally:
            with psycopg.connect(admin, autocommit=True) as connection:
                connection.execute("DROP OWNED BY {} CASCADE".format(f"{prefix}_owner").encode())
    drop_roles(database_dsn, prefix)


@pytest.mark.parametrize("purpose", [IMPORTER, GATEWAY, SYMDB])
def test_what_each_role_reads(roles: Roles, purpose: Purpose) -> None:
    with psycopg.connect(roles.dsn(purpose), autocommit=True) as connection:
        for table in (*TABLES, *BARS):
            query = f"SELECT count(*) FROM {table}".encode()
            if table in READ_BY[purpose]:
                assert connection.execute(query).fetchone()
            else:
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(query)


CHANGES = [
    *(
        f"UPDATE {table} SET {column} = {column}"
        for table, column in (
            ("trade", "price"),
            ("trade", "sequence"),
            ("trade_mark", "time"),
            ("symbol", "symbol"),
            ("symbol", "symbol_id"),
            ("exchange", "name"),
            ("import_file", "rows"),
            ("schema_version", "version"),
            ("table_kind", "kind"),
        )
    ),
    *(f"DELETE FROM {table}" for table in TABLES),
    *(f"TRUNCATE {table} CASCADE" for table in TABLES),
    *(f"DROP TABLE {table} CASCADE" for table in TABLES),
    *(f"ALTER TABLE {table} ADD COLUMN more integer" for table in TABLES),
    "INSERT INTO schema_version (version, name) VALUES (99, 'x')",
    "INSERT INTO symbol (exchange_id, symbol_id, symbol, trades) VALUES (1, 999, 'X', 5)",
    "CREATE TABLE more (id integer)",
    "CREATE TEMPORARY TABLE more (id integer)",
    "CREATE SCHEMA more",
    "CREATE ROLE more",
    "CREATE DATABASE more",
    "CREATE FUNCTION more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER ROLE {owner} PASSWORD 'x'",
    "SET ROLE {owner}",
    "GRANT {owner} TO {me}",
    "COPY symbol TO PROGRAM 'cat'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT rolpassword FROM pg_authid",
]
MORE_THAN_READING = [
    "INSERT INTO exchange VALUES (77, 'x')",
    "INSERT INTO symbol (exchange_id, symbol_id, symbol) VALUES (1, 999, 'X')",
    "INSERT INTO trade VALUES (65537, 1, now(), 1, 1)",
    "INSERT INTO trade_mark VALUES (65537, 1, now())",
    "INSERT INTO import_file VALUES (65537, '', '', 0, 0)",
    "UPDATE symbol SET trades = 0",
]


@pytest.mark.parametrize("purpose", [IMPORTER, GATEWAY, SYMDB])
def test_nobody_but_the_owner_changes_tables_or_stored_trades(
    roles: Roles, purpose: Purpose
) -> None:
    names = {str(each): sql.Identifier(name) for each, name in role_names(roles.prefix).items()}
    statements = CHANGES if purpose is IMPORTER else CHANGES + MORE_THAN_READING
    with psycopg.connect(roles.dsn(purpose), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")  # a right, not a habit
        for statement in statements:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(
                    sql.SQL(statement).format(owner=names["owner"], me=names[str(purpose)])
                )


PARTS = """
SELECT relid::regclass::text FROM pg_partition_tree('trade') WHERE isleaf AND level > 0
UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'trade'::regclass
"""
OWN_FUNCTIONS = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace AND prosecdef
    AND proname IN ('make_trade_table', 'attach_trade_table', 'make_trade_chunk',
                    'compress_trade_chunk')
"""


@pytest.mark.parametrize("purpose", [IMPORTER, GATEWAY, SYMDB])
def test_a_partition_or_chunk_is_no_way_around(roles: Roles, purpose: Purpose) -> None:
    with psycopg.connect(roles.admin) as admin:
        parts = {name for (name,) in admin.execute(PARTS)}
        functions = [name for (name,) in admin.execute(OWN_FUNCTIONS)]
    assert parts
    assert functions
    with psycopg.connect(roles.dsn(purpose), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for part in parts:
            for statement in (
                "DELETE FROM {}",
                "UPDATE {} SET price = 1",
                "TRUNCATE {}",
                "DROP TABLE {}",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement.format(part).encode())
        for function in functions:
            row = connection.execute(
                "SELECT has_function_privilege(%s, 'EXECUTE')", [function]
            ).fetchone()
            assert row == (purpose is IMPORTER,)


@pytest.mark.parametrize("purpose", [GATEWAY, SYMDB])
def test_readers_begin_no_transaction_that_writes(roles: Roles, purpose: Purpose) -> None:
    with psycopg.connect(roles.dsn(purpose)) as connection:
        row = connection.execute("SHOW transaction_read_only").fetchone()
    assert row == ("on",)


def test_passwords_are_set_kept_and_changed(roles: Roles) -> None:
    kept = apply_roles(roles.admin, prefix=roles.prefix)
    assert {(role.is_new, role.password) for role in kept} == {(False, PasswordState.KEPT)}
    with connect(roles.dsn(SYMDB)):
        pass
    changed = apply_roles(roles.admin, {SYMDB: "another"}, prefix=roles.prefix)
    try:
        assert [r.purpose for r in changed if r.password is PasswordState.SET] == [SYMDB]
        with pytest.raises(DatabaseUnreachable) as caught:
            connect(roles.dsn(SYMDB))
        assert roles.passwords[SYMDB] not in str(caught.value)
        with connect(roles.dsn_with(SYMDB, "another")):
            pass
    finally:
        apply_roles(roles.admin, {SYMDB: roles.passwords[SYMDB]}, prefix=roles.prefix)


def test_rights_that_are_too_much_are_taken_away(roles: Roles) -> None:
    name = sql.Identifier(role_names(roles.prefix)[SYMDB])
    with psycopg.connect(roles.admin, autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT ALL ON trade, symbol TO {}").format(name))
        admin.execute(sql.SQL("ALTER ROLE {} CREATEDB CREATEROLE").format(name))
    apply_roles(roles.admin, prefix=roles.prefix)
    with psycopg.connect(roles.dsn(SYMDB), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in ("SELECT FROM trade", "DELETE FROM symbol", "CREATE DATABASE more"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_memberships_are_ended(roles: Roles) -> None:
    """The rights of a group are its members' too."""
    groups = role_names(roles.prefix)
    with psycopg.connect(roles.admin, autocommit=True) as admin:
        given = sql.SQL("GRANT {}, pg_read_all_data TO {}")
        admin.execute(given.format(sql.Identifier(groups[OWNER]), sql.Identifier(groups[SYMDB])))
    apply_roles(roles.admin, prefix=roles.prefix)
    with (
        psycopg.connect(roles.dsn(SYMDB), autocommit=True) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT FROM trade")


def test_only_a_superuser_applies_roles(roles: Roles) -> None:
    with pytest.raises(RolesRefused, match="_owner is no superuser"):
        apply_roles(roles.dsn(OWNER), prefix=roles.prefix)


def test_what_a_role_may_not_do_is_said_in_words(roles: Roles, tmp_path: Path) -> None:
    write_csv(generated(1, 10), tmp_path / "XBTJPY.csv")
    with pytest.raises(RightMissing, match=r"may not do that .*`qd db roles`"):
        import_paths(roles.dsn(GATEWAY), [tmp_path / "XBTJPY.csv"], rejects_folder=tmp_path)
    with pytest.raises(RightMissing):
        list(check_markets(roles.dsn(SYMDB)))


def test_an_importer_brings_another_exchange(roles: Roles, tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-01.csv"
    path.write_text("1,42000.5,0.1,4200.05,1704067200000,True,True\n")
    report = import_paths(roles.dsn(IMPORTER), [path], exchange="binance", rejects_folder=tmp_path)
    assert (report.rows, report.refused) == (1, ())


def test_a_password_of_libpqs_passfile_serves_as_well(
    roles: Roles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passfile = tmp_path / "pgpass"
    escaped = roles.passwords[IMPORTER].replace("\\", "\\\\")
    passfile.write_text(f"*:*:*:{roles.prefix}_importer:{escaped}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    parts = urlsplit(roles.dsn(IMPORTER))
    bare = f"{parts.username}@{parts.hostname}:{parts.port}"
    dsn = urlunsplit(parts._replace(netloc=bare))
    write_csv(generated(5, 9_000), tmp_path / "XBTSEK.csv")
    report = import_paths(dsn, [tmp_path / "XBTSEK.csv"], rejects_folder=tmp_path)
    assert report.rows == 9_000


def test_a_superuser_stays_one(roles: Roles) -> None:
    name = f"{roles.prefix}x_owner"
    with psycopg.connect(roles.admin, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} SUPERUSER".encode())
        try:
            with pytest.raises(RolesRefused, match=f"{name} is a superuser"):
                apply_roles(roles.admin, prefix=f"{roles.prefix}x")
        finally:
            connection.execute(f"DROP ROLE {name}".encode())


def test_an_owner_repairs(roles: Roles) -> None:
    with psycopg.connect(roles.admin, autocommit=True) as connection:
        connection.execute("UPDATE bar_1d SET volume = volume + 1")
        connection.execute("DELETE FROM trade_mark")
    reports = list(check_markets(roles.dsn(OWNER)))
    assert not any(report.is_sound for report in reports)
    assert all(report.is_sound for report in repair_markets(roles.dsn(OWNER), reports))


@pytest.mark.parametrize("prefix", ["", "pg_mine", "a\0b", "x" * 60])
def test_prefixes_that_make_no_names(prefix: str) -> None:
    with pytest.raises(RolesRefused, match="prefix"):
        role_names(prefix)


def test_passwords_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "gateway"
    path.write_text("from a file\n")
    env = {"QD_OWNER_PASSWORD": "plain", "QD_GATEWAY_PASSWORD_FILE": str(path)}
    assert passwords_of(env) == {OWNER: "plain", GATEWAY: "from a file"}
