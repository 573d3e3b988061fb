"""Fluvio's profile file: read as Fluvio reads it, and changed without losing anything."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest

from qd_cli.errors import ExitCode, ProfileBroken, RequestRefused
from qd_cli.profile_tls import tls_of
from qd_cli.profiles import ProfileFile, default_path
from qd_cli.targets import Targets, state_folder
from qd_schemas.specs import ClientKind, FluvioSettings, TlsSettings
from support.commands import Qd

FILE = """# my clusters
version = "2.0"
current_profile = "local"   # for now
client_id = "me"

[profile.local]
cluster = "local"

[cluster.local]
endpoint = "127.0.0.1:9003"
use_spu_local_address = true

[cluster.local.tls]
tls_policy = "disabled"

[cluster.local.metadata.installation]
type = "local"

[profile.prod]
cluster = "prod"

[profile.same]
cluster = "prod"

[cluster.prod]
addr = "sc.example:9003"   # the old name of endpoint

[cluster.prod.tls]
tls_policy = "verified"
tls_source = "files"

[cluster.prod.tls.certs]
domain = "fluvio.example"
key = "/pki/me.key"
cert = "/pki/me.pem"
ca_cert = "/pki/ca.pem"

[profile.inline]
cluster = "inline"

[cluster.inline]
endpoint = "inline.example:9003"
[cluster.inline.tls]
tls_policy = "verify"
tls_source = "inline"
certs = { domain = "d", key = "K", cert = "C", ca_cert = "A" }

[profile.any]
cluster = "any"
[cluster.any]
endpoint = "any.example:9003"
tls = { tls_policy = "anonymous" }
"""


@pytest.fixture
def file(tmp_path: Path, nowhere: None) -> ProfileFile:
    path = tmp_path / "profiles"
    path.write_text(FILE)
    path.chmod(0o640)
    return ProfileFile()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLV_PROFILE_PATH", "/some/file")
    assert default_path() == Path("/some/file")
    monkeypatch.delenv("FLV_PROFILE_PATH")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_path() == Path("/home/somebody/.fluvio/config")


def test_profiles_are_read(file: ProfileFile) -> None:
    found = {profile.name: profile for profile in file.profiles()}
    assert [(p.name, p.endpoint, p.tls_policy) for p in found.values()] == [
        ("any", "any.example:9003", "anonymous"),
        ("inline", "inline.example:9003", "verified"),
        ("local", "127.0.0.1:9003", "disabled"),
        ("prod", "sc.example:9003", "verified"),
        ("same", "sc.example:9003", "verified"),
    ]
    assert file.current() == found["local"]
    assert tls_of(found["local"]) is None
    assert tls_of(found["prod"]) == TlsSettings(
        "/pki/ca.pem", "fluvio.example", "/pki/me.pem", "/pki/me.key"
    )


def test_certificates_inside_the_file_are_written_for_their_owner_only(file: ProfileFile) -> None:
    tls = tls_of(file.find("inline"))
    assert tls is not None
    assert tls.domain == "d"
    assert [Path(path).read_text() for path in (tls.ca, tls.cert, tls.key)] == ["A", "C", "K"]
    assert stat.S_IMODE(Path(tls.key).parent.stat().st_mode) == 0o700


def test_a_profile_that_accepts_any_certificate_is_refused(file: ProfileFile) -> None:
    with pytest.raises(RequestRefused, match="accepts any certificate"):
        tls_of(file.find("any"))


def test_switching_changes_one_line(file: ProfileFile) -> None:
    file.switch("prod")
    assert file.path.read_text() == FILE.replace('"local"   # for now', '"prod"   # for now')
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [path.name for path in file.path.parent.iterdir()] == ["profiles"]


def test_adding_keeps_everything_else(file: ProfileFile) -> None:
    before = tomllib.loads(FILE)
    file.add("new", "new.example:9003", None, replace=False, switch=False)
    after = tomllib.loads(file.path.read_text())
    assert after["profile"].pop("new") == {"cluster": "new"}
    assert after["cluster"].pop("new") == {
        "endpoint": "new.example:9003",
        "use_spu_local_address": False,
        "tls": {"tls_policy": "disabled"},
    }
    assert after == before
    assert all(line in file.path.read_text().splitlines() for line in FILE.splitlines())


def test_replacing_changes_the_endpoint_and_tls_only(file: ProfileFile) -> None:
    tls = TlsSettings("/a.pem", "d", "/c.pem", "/k.pem")
    for refused in ("local", "prod"):
        with pytest.raises(RequestRefused, match="--replace"):
            file.add(refused, "h:1", tls, replace=False, switch=True)
    assert file.path.read_text() == FILE
    file.add("local", "h:1", tls, replace=True, switch=True)
    cluster = tomllib.loads(file.path.read_text())["cluster"]["local"]
    assert cluster["metadata"] == {"installation": {"type": "local"}}
    assert cluster["use_spu_local_address"] is True
    assert tls_of(file.find("local")) == tls
    file.add("prod", "h:2", None, replace=True, switch=False)
    assert file.find("prod").endpoint == "h:2"
    assert tls_of(file.find("prod")) is None


def test_removing_keeps_a_cluster_that_is_used(file: ProfileFile) -> None:
    file.remove("prod")
    assert file.find("same").endpoint == "sc.example:9003"
    file.remove("same")
    file.remove("local")
    after = tomllib.loads(file.path.read_text())
    assert set(after["cluster"]) == {"inline", "any"}
    assert "current_profile" not in after
    assert after["client_id"] == "me"


def test_a_link_stays_one(file: ProfileFile, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file.path)
    ProfileFile(link).switch("prod")
    assert link.is_symlink()
    assert file.current() == file.find("prod")


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "deep" / "config")
    assert file.profiles() == []
    file.add("local", "127.0.0.1:9003", None, replace=False, switch=True)
    assert tomllib.loads(file.path.read_text())["version"] == "2.0"
    assert file.current() == file.find("local")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    ["profile = 3", "[profile]\nx = 3", "[[cluster]]", "= 3", "[profile.x]\ncluster='x'\n"
     "[cluster.x]\ntls = 3", "\udcff"],
)  # fmt: skip
def test_what_is_no_profile_file_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(text.encode(errors="surrogateescape"))
    file = ProfileFile(path)
    for act in (file.profiles, lambda: file.add("x", "h:1", None, replace=True, switch=True)):
        with pytest.raises(ProfileBroken, match="config"):
            act()
    assert path.read_bytes() == text.encode(errors="surrogateescape")


def test_the_commands(bare_qd: Qd, tmp_path: Path) -> None:
    qd = bare_qd
    assert "`qd profile add NAME HOST:PORT`" in qd("profile", "list").err
    assert qd("profile", "add", "a", "a.example:1").code == 0
    assert qd("profile", "add", "b", "b.example:2", "--no-switch").code == 0
    assert qd("profile", "current").lines == ["a"]
    assert qd("profile", "switch", "b").code == 0
    listed = {row["name"]: (row["endpoint"], row["current"]) for row in qd.json("profile", "list")}
    assert listed == {"a": ("a.example:1", False), "b": ("b.example:2", True)}
    assert qd("profile", "list").lines[2].split() == ["*", "b", "b", "b.example:2", "disabled"]
    assert "give --yes" in qd("profile", "remove", "b").err
    assert qd("profile", "remove", "b", "--yes").code == 0
    assert qd("profile", "current").code == ExitCode.FAILED
    pem = tmp_path / "x.pem"
    pem.touch()
    assert "give all three" in qd("profile", "add", "c", "c:1", "--tls-ca", pem).err
    tls = [f"--tls-{name}={pem}" for name in ("ca", "cert", "key")]
    assert qd("profile", "add", "c", "c.example:1", *tls).code == 0
    assert tls_of(ProfileFile().find("c")) == TlsSettings(*(str(pem), "c.example"), *[str(pem)] * 2)


def found(fluvio: str | None = None) -> FluvioSettings:
    """The cluster that a command talks to."""
    return Targets({"QD_FLUVIO": fluvio} if fluvio else {}, state_folder(None)).cluster()


def test_which_cluster_is_meant(file: ProfileFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found() == FluvioSettings("127.0.0.1:9003")
    assert found("h:1") == FluvioSettings("h:1")
    prod = found("prod")
    assert prod.endpoint == "sc.example:9003"
    assert prod.tls == tls_of(file.find("prod"))
    monkeypatch.setenv("QD_FLUVIO_TLS_CA", "/env.pem")
    monkeypatch.setenv("QD_FLUVIO_CLIENT", "native")
    assert found() == FluvioSettings("127.0.0.1:9003", ClientKind.NATIVE)
    assert found("h:1") == FluvioSettings("h:1", ClientKind.NATIVE, TlsSettings("/env.pem"))
    monkeypatch.setenv("QD_FLUVIO", "prod")
    assert found().endpoint == "sc.example:9003"


def test_a_profile_without_an_endpoint(file: ProfileFile) -> None:
    file.path.write_text("current_profile = 'x'\n[profile.x]\ncluster = 'gone'\n")
    with pytest.raises(RequestRefused, match="profile x has the endpoint ''"):
        found()


def test_a_stack_that_died_is_not_mistaken_for_a_profile(
    file: ProfileFile, bare_qd: Qd, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    part = f'{{"pid": {os.getpid()}, "start": "0", "started_at": 0, "settings": {{}}}}'
    (state / "stack.json").write_text(
        f'{{"format": 1, "parts": {{"broker": {part}}}, "external": {{}},'
        ' "settings": {"QD_FLUVIO": "127.0.0.1:1"}}'
    )
    done = bare_qd("topics", "list")
    assert done.code == ExitCode.FAILED
    assert "no stack is running" in done.err
