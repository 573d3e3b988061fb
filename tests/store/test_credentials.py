"""DSNs and passwords from the environment and from files; none is ever repeated in a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_schemas.errors import SettingError
from qd_schemas.specs import DatabaseSettings
from qd_store.credentials import dsn_of, given_secret, has_password, public, split_password
from qd_store.errors import DatabaseUnreachable

DSN = "postgresql://trader:secret@db.example:5433/qd?application_name=x"


def test_a_dsn_from_the_environment_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dsn"
    path.write_text(f"{DSN}\n")
    assert dsn_of(DatabaseSettings(DSN)) == dsn_of(DatabaseSettings(file=str(path))) == DSN


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "has 0 lines in 0 bytes"),
        (b"secret\nsecret\n", "has 2 lines"),
        (b"x" * 70_000, "in 65537 bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (b"secret", "holds no DSN; expected a DSN that begins with postgresql://"),
        (b"mysql://u:secret@h/d", "begins with 'mysql'"),
    ],
)
def test_a_file_that_holds_no_dsn(tmp_path: Path, content: bytes | None, text: str) -> None:
    path = tmp_path / "dsn"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        dsn_of(DatabaseSettings(file=str(path)))
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_from_the_environment_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    assert given_secret({}, "P") is None
    assert given_secret({"P": "", "P_FILE": ""}, "P") is None
    assert given_secret({"P": "secret"}, "P") == "secret"
    assert given_secret({"P_FILE": str(path)}, "P") == "secret"
    with pytest.raises(SettingError, match="P and P_FILE are both set"):
        given_secret({"P": "secret", "P_FILE": str(path)}, "P")


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        (DSN, True),
        ("postgresql://trader@db.example/qd", False),
        ("postgresql://db.example/qd?password=secret", True),
        ("postgresql://db.example/qd?sslpassword=secret", True),
        ("host=db.example password=secret", True),
        ("host=db.example passfile=/run/pass", False),
    ],
)
def test_passwords_are_found_wherever_a_dsn_has_them(dsn: str, expected: bool) -> None:
    assert has_password(dsn) is expected


def test_a_dsn_for_people_and_one_for_argument_lists() -> None:
    bare, password = split_password(DSN)
    assert password == "secret"
    assert "secret" not in bare
    assert split_password(bare) == (bare, None)
    assert public(DSN) == "trader@db.example:5433/qd"
    assert public("postgresql:///qd") == "localhost/qd"


def test_what_is_no_dsn_is_not_repeated() -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        public("postgresql://u:secret@h:no-port:secret/d?x")
    assert "secret" not in str(caught.value)
