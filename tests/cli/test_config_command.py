"""`qd config`, and the file that QD_CONFIG names for other commands and the parts they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qd_cli.configuration import join_environment
from qd_cli.errors import ExitCode
from qd_cli.stack import Part, qd_parts
from qd_cli.stack.environment import inherited, takes
from qd_schemas.settings.table import BY_NAME, SETTINGS
from support.commands import Qd

FILE = """
[fluvio]
endpoint = "sc:9003"
[database]
dsn = "postgresql://user:sesame@db/qd"
[gateway]
lease_ms = 500
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "qd.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


def test_show_tells_where_each_value_comes_from(
    bare_qd: Qd, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QD_CONFIG", str(file))
    monkeypatch.setenv("QD_GATEWAY_NAME", "one")
    done = bare_qd("config", "show", "gateway", "--json")
    rows = {row["setting"]: row for row in map(json.loads, done.out.splitlines())}
    assert done.code == 0
    assert done.err == ""
    found = {name: (row["value"], row["from"]) for name, row in rows.items()}
    assert found["QD_LEASE_MS"] == ("500", f"gateway.lease_ms ({file}, line 7)")
    assert found["QD_GATEWAY_NAME"] == ("one", "QD_GATEWAY_NAME")
    assert found["QD_DATABASE"] == ("(hidden)", f"database.dsn ({file}, line 5)")
    assert found["QD_GATEWAY_TOKENS"] == ("optional", "default")
    assert found["QD_GATEWAY_METRICS"] == (None, "default: nowhere")
    assert found["QD_FLUVIO_TLS_CA"] == (None, "not set")
    assert "QD_SYMDB" not in found, "it is no business of the gateway's"
    everything = bare_qd("config", "show")
    assert "sesame" not in done.out + everything.out
    assert len(everything.out.splitlines()) == len(SETTINGS) + 1


def test_show_with_a_value_that_makes_no_sense(
    bare_qd: Qd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QD_LEASE_MS", "soon")
    monkeypatch.setenv("QD_GATEWAY_TOKEN", "required")
    done = bare_qd("config", "show")
    assert done.code == 1
    assert "error: QD_LEASE_MS is 'soon'; expected a whole number from 300" in done.err
    assert (
        "warning: QD_GATEWAY_TOKEN is set, but no setting has this name; "
        "did you mean QD_GATEWAY_TOKENS?" in done.err
    )
    assert bare_qd("config", "show", "broker").code == 1


def test_other_commands_warn_of_a_misspelt_setting(
    bare_qd: Qd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QD_DATABASE_URL", "postgresql://user:sesame@db/qd")
    done = bare_qd("process", "list")
    assert (done.code, done.err) == (
        0,
        "qd: warning: QD_DATABASE_URL is set, but no setting has this name; "
        "did you mean QD_DATABASE?\n",
    )


@pytest.mark.parametrize(
    ("change", "arguments", "code", "said"),
    [
        ("", (), 0, ""),
        ("", ("--service", "gateway"), 0, ""),
        ("", ("--service", "symdb"), 1, "error: QD_SYMDB is not set, and symdb needs it"),
        ("", ("--service", "broker"), 1, "no service is named 'broker'"),
        ("tokens = 'no'", (), 1, ", line 8) is 'no'; expected optional or required"),
        ("name = 5", (), 1, "gateway.name ({file}, line 8) is a number; expected a name"),
        ("toknes = 'no'", (), 1, "gateway.toknes ({file}, line 8) is no setting; did you mean tok"),
        ("[client]\ntoken = 'x'", (), 1, "client.token ({file}, line 9) is set but QD_CLIENT_ID"),
        ("[symdb]\ntls_cert='c'\nendpoint='h:1'", (), 1, "QD_SYMDB_TLS_KEY is not set (nor"),
    ],
)
def test_check(
    bare_qd: Qd, file: Path, change: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    file.write_text(FILE + change)
    done = bare_qd("config", "check", str(file), *arguments)
    assert (done.code, said.format(file=file) in done.err) == (code, True), done.err
    assert "sesame" not in done.out + done.err


def test_check_says_what_each_service_lacks(bare_qd: Qd, file: Path) -> None:
    file.chmod(0o644)
    done = bare_qd("config", "check", str(file), "--json")
    verdicts = [json.loads(line) for line in done.out.splitlines()]
    assert [(each["service"], each["lacks"]) for each in verdicts] == [
        ("gateway", []),
        ("symdb", ["QD_SYMDB"]),
        ("analytics", ["QD_SYMDB"]),
    ]
    assert f"{file} holds database.dsn, a secret, and others can read it" in done.err


def test_the_example_passes_the_check(bare_qd: Qd, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(bare_qd("config", "example").out)
    assert bare_qd("config", "check", str(path)).code == 0


def test_other_commands_use_the_file(
    bare_qd: Qd, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[fluvio]\nendpoint = "127.0.0.1:1"\nclient = "native"\n')
    # The command changes its environment, which here is that of all tests.
    monkeypatch.setattr(os, "environ", {**os.environ, "QD_CONFIG": str(file)})
    done = bare_qd("topics", "list")
    assert done.code == ExitCode.TRY_AGAIN
    assert "127.0.0.1:1" in done.err
    file.write_text('[fluvio]\nendpoint = "127.0.0.1"\n')
    monkeypatch.setattr(os, "environ", {"QD_CONFIG": str(file)})
    done = bare_qd("topics", "list")
    assert (done.code, f"fluvio.endpoint ({file}, line 2) is '127.0.0.1'" in done.err) == (1, True)


def test_what_joins_the_environment(file: Path) -> None:
    env = {"QD_CONFIG": str(file), "QD_LEASE_MS": "900", "QD_DATABASE_FILE": "f", "PATH": "/bin"}
    join_environment(env)
    assert env == {
        "QD_FLUVIO": "sc:9003",
        "QD_LEASE_MS": "900",
        "QD_DATABASE_FILE": "f",
        "PATH": "/bin",
    }


def test_a_service_in_the_foreground_gets_its_settings_from_the_file(file: Path) -> None:
    """Also where PATH leads to a Python of this name that has no packages."""
    other = file.parent / Path(sys.executable).name
    other.symlink_to(Path(sys.executable).resolve())
    file.write_text('[log]\nformat = "json"\n[gateway]\nlease_ms = 500\n[client]\nid = 21\n')
    done = subprocess.run(
        [sys.executable, "-m", "qd_cli", "run", "gateway"],
        env={"PATH": str(file.parent), "QD_CONFIG": str(file), "QD_STATE": str(file.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stderr)
    assert (done.returncode, found["logger"]) == (1, "qd_gateway")
    assert found["event"].startswith("failed: QD_FLUVIO is not set; expected host:port")


@pytest.mark.parametrize("part", qd_parts(), ids=lambda part: part.name)
def test_a_part_gets_its_own_settings_alone(part: Part) -> None:
    env = {setting.name: "x" for setting in SETTINGS}
    others = {"QD_OWNER_PASSWORD": "x", "QD_CONFIG": "f", "PGPASSWORD": "x", "PATH": "/bin"}
    got = inherited(part, env | others)
    own = {
        name for name in env if part.service in BY_NAME[name].services or name.startswith("QD_LOG_")
    } | {setting.name for setting in part.own}
    assert {name for name in got if name.startswith("QD_")} == own
    assert got["PATH"] == "/bin"
    assert ("PGPASSWORD" in got) == (part.name in ("database", "symdb", "gateway"))


def test_a_stack_as_shipped_takes_no_settings_of_services() -> None:
    gateway = next(part for part in qd_parts() if part.name == "gateway")
    env = {setting.name: "x" for setting in SETTINGS} | {"PATH": "/bin"}
    got = inherited(gateway, env, as_shipped=True)
    assert set(got) == {"QD_LOG_LEVEL", "QD_LOG_FORMAT", "QD_FLUVIO_CLIENT", "PATH"}


def test_what_parts_provide_goes_only_to_those_that_declare_it() -> None:
    parts = {part.name: part for part in qd_parts()}
    assert not takes(parts["analytics"], "QD_DATABASE")
    assert takes(parts["analytics"], "QD_SYMDB")
    assert takes(parts["gateway"], "QD_DATABASE")
