"""What is secret is a Secret's, by reference, in a file, and only where it is needed."""

from __future__ import annotations

import re
from typing import Final

import pytest

from qd_fluvio.broker.settings import SPU_NAME
from qd_schemas.settings import table
from support.manifests import K8S, OVERLAYS, VARIANTS, Pod, rendered

TLS: Final = frozenset({"tls.crt", "tls.key", "ca.crt"})
ACCOUNT: Final = frozenset({"password", "dsn"})
KNOWN: Final = {
    "qd-database-admin": ACCOUNT,
    "qd-database-owner": ACCOUNT,
    "qd-database-importer": ACCOUNT,
    "qd-database-gateway": ACCOUNT,
    "qd-database-symdb": ACCOUNT,
    "qd-analytics-token": frozenset({"token"}),
    "qd-fluvio": TLS,
    "qd-tls-symdb": TLS,
    "qd-tls-database": TLS,
    "qd-tls-broker": TLS,
    "qd-tls-client": TLS,
    "qd-bucket": frozenset({"credentials", "gcs.json"}),
}
"""Every Secret that pods may name, and its keys."""
OPTIONAL: Final = {"qd-bucket"}
OF: Final = {
    "gateway": {"qd-database-gateway", "qd-tls-database", "qd-tls-client", "qd-fluvio"},
    "symdb": {"qd-database-symdb", "qd-tls-database", "qd-tls-symdb"},
    "analytics": {"qd-tls-client", "qd-fluvio", "qd-analytics-token"},
    "database": {"qd-database-admin", "qd-tls-database"},
    "broker": {"qd-tls-broker"},
    "migrate": {name for name in KNOWN if name.startswith("qd-database-")} | {"qd-tls-database"},
    "topics": {"qd-tls-client", "qd-fluvio"},
    "import": {"qd-database-importer", "qd-tls-database", "qd-bucket"},
}
"""Which of them each part may have."""
CA_ALONE: Final = {("qd-tls-database", part) for part in ("gateway", "symdb", "migrate", "import")}
"""Who must trust a server's certificate, and must not have its key."""


GUIDE: Final = (K8S.parent / "docs" / "deploy.md").read_text()
MADE_FOR_OTHERS: Final = {"qd-tls-ca"}
"""Documented, and in no pod: it signs the others."""


def pods(variant: str) -> list[Pod]:
    return rendered(variant).pods()


def test_no_secret_is_in_the_repository() -> None:
    for variant in VARIANTS:
        assert not rendered(variant).of("Secret")
    for path in K8S.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "secretGenerator" not in text, path
            assert not re.search(r"PRIVATE KEY|postgres(ql)?://[^\s/]*:[^\s/]*@", text), path


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_name_known_secrets_and_their_own_alone(variant: str) -> None:
    for pod in pods(variant):
        for volume, name, keys in pod.secrets():
            assert name in OF[pod.component], f"{pod.name} has {name}"
            assert keys is None or keys <= KNOWN[name], f"{pod.name} {name}"
            if (name, pod.component) in CA_ALONE:
                assert keys == frozenset({"ca.crt"}), f"{pod.name} has the key of {name}"
            secret = pod.volumes[volume]["secret"]
            assert secret["defaultMode"] == 0o440, "its user reads it by its group, and no other"
            assert secret.get("optional", False) == (name in OPTIONAL)


def test_every_secret_is_documented_with_its_keys() -> None:
    rows = re.findall(r"^\| ((?:`qd-[\w-]+`(?:, )?)+) \| ([^|]+) \|", GUIDE, re.M)
    told = {
        name: frozenset(re.findall(r"`([^`]+)`", keys))
        for names, keys in rows
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert {name: told[name] for name in told if name not in MADE_FOR_OTHERS} == KNOWN


@pytest.mark.parametrize("variant", VARIANTS)
def test_secrets_come_as_files_at_the_path_of_their_name(variant: str) -> None:
    for pod in pods(variant):
        names = {volume: name for volume, name, _ in pod.secrets()}
        for container in pod.containers:
            for path, mount in container.mounts.items():
                if mount["name"] in names:
                    assert path == f"/run/qd/{names[mount['name']]}"
            for each in container.spec.get("env", ()):
                assert "valueFrom" not in each, "an environment is easily shown"
            for source in container.spec.get("envFrom", ()):
                assert "secretRef" not in source


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_that_settings_name_are_mounted(variant: str) -> None:
    for pod in pods(variant):
        keys = {volume: chosen or KNOWN[name] for volume, name, chosen in pod.secrets()}
        for container in pod.containers:
            for name, value in container.env.items():
                if not value.startswith("/run/qd/"):
                    setting = table.BY_NAME.get(name)
                    assert setting is None or not setting.is_secret, f"{name} is no file"
                    continue
                folder, _, key = value.rpartition("/")
                mount = container.mounts[folder]
                assert key in keys[mount["name"]], f"{pod.name}: {name} is {value}"


@pytest.mark.parametrize("variant", [name for name in OVERLAYS if name.endswith("with all")])
def test_all_parts_speak_tls(variant: str) -> None:
    found = rendered(variant)
    for pod in found.pods():
        for container in pod.containers:
            env = container.env
            if "QD_DATABASE_FILE" in env:
                assert env["PGSSLMODE"] == "verify-full", pod.name
                assert env["PGSSLROOTCERT"].endswith("/ca.crt"), pod.name
            if "QD_FLUVIO" in env:
                assert {"QD_FLUVIO_TLS_CA", "QD_FLUVIO_TLS_CERT", "QD_FLUVIO_TLS_KEY"} <= set(env)
    (symdb,) = found.pod("symdb").containers
    assert symdb.env["QD_SYMDB_TLS_CLIENT_CA"], "it takes no client without a certificate"
    (analytics,) = found.pod("analytics").containers
    assert analytics.env["QD_SYMDB_TLS_CLIENT_CERT"]


def test_servers_of_the_cluster_take_nothing_but_tls() -> None:
    found = rendered("embedded with all")
    database = found.pod("database").main
    assert {"ssl=on", "hba_file=/etc/qd/pg_hba_tls.conf"} <= set(database.spec["args"])
    name = found.pod("database").volumes["settings"]["configMap"]["name"]
    rules = found.get("ConfigMap", name)["data"]["pg_hba_tls.conf"]
    lines = [line.split() for line in rules.splitlines() if line[:1] not in "#"]
    plain = [line for line in lines if line[0] in ("host", "hostnossl")]
    assert [line[3] for line in plain] == ["127.0.0.1/32", "::1/128", "all"]
    assert plain[-1] == lines[-1] == ["hostnossl", "all", "all", "all", "reject"]
    assert ["hostssl", "all", "all", "all", "scram-sha-256"] in lines
    (broker,) = found.pod("broker").containers
    words = dict(word[2:].split("=") for word in broker.spec["args"][1:])
    assert {"tls-cert", "tls-key", "tls-client-ca"} <= set(words)
    for name in ("tls-cert", "tls-key", "tls-client-ca"):
        assert words[name].rpartition("/")[0] in broker.mounts


def test_nobody_enters_the_database_without_a_password() -> None:
    for path in (K8S / "base" / "database").glob("pg_hba*.conf"):
        rules = [line.split() for line in path.read_text().splitlines() if line[:1] not in "#"]
        assert {rule[-1] for rule in rules} <= {"peer", "scram-sha-256", "reject"}, path
        assert [rule for rule in rules if rule[-1] == "peer"] == [
            ["local", "all", "postgres", "peer"]
        ]


def test_each_certificate_is_for_the_names_that_clients_use() -> None:
    found = rendered("embedded with all")
    certificates = {each["spec"]["secretName"]: each["spec"] for each in found.of("Certificate")}
    assert set(certificates) == {name for name in KNOWN if name.startswith("qd-tls-")}
    for service in ("qd-symdb", "qd-database", "qd-broker"):
        spec = certificates[service.replace("qd-", "qd-tls-")]
        for name in (service, f"{service}.qd", f"{service}.qd.svc", "localhost"):
            assert name in spec["dnsNames"]
        assert "server auth" in spec["usages"]
        found.get("Service", service)
    assert f"{SPU_NAME}.qd-broker" in certificates["qd-tls-broker"]["dnsNames"]
    assert "client auth" in certificates["qd-tls-client"]["usages"]
    hours = {spec["duration"]: spec["renewBefore"] for spec in certificates.values()}
    assert hours == {"2160h": "720h"}
