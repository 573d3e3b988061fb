"""What a broker is told at its start: faults, limits, and words about what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_fluvio.broker.__main__ import settings_of
from qd_fluvio.broker.settings import (
    FAULTS_HELP,
    BrokerSettings,
    ConnectionLimits,
    Durability,
    Faults,
    TlsFiles,
    parse_faults,
)
from qd_schemas.errors import SettingError


def test_faults_are_read() -> None:
    texts = ["cut-batches", "delay=0.25", "drop-after=1000", "late-topics=0.5"]
    assert parse_faults(texts) == Faults(
        cut_batches=True, delay_s=0.25, drop_after_bytes=1_000, late_topics_s=0.5
    )
    assert parse_faults(["restart-after=5000"]) == Faults(restart_after_bytes=5_000)
    assert parse_faults(["restart-after=2.5s"]) == Faults(restart_after_s=2.5)
    assert parse_faults([]) == Faults()


@pytest.mark.parametrize(
    "text",
    [
        *("", "cut", "drop-after", "drop-after=x", "drop-after=0", "drop-after=-1"),
        *("cut-batches=1", "delay", "delay=-1", "delay=nan", "delay=inf", "late-topics=0"),
        *("restart-after", "restart-after=s", "restart-after=0", "restart-after=1h"),
    ],
)
def test_unknown_faults_are_refused(text: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_faults([text])
    assert str(error.value) == f"found fault {text!r}, expected one of {FAULTS_HELP}"


def test_options_become_settings(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert settings_of(["--data", str(data)]) == BrokerSettings(data)
    options = "--host 0.0.0.0 --advertise me --sc-port 1 --spu-port 2 --durability power"
    more = "--faults cut-batches --faults delay=1 --tls-cert c --tls-key k --tls-client-ca a"
    limits = "--connections-max 9 --memory-max 99999999"
    assert settings_of(["--data", str(data), *f"{options} {more} {limits}".split()]) == (
        BrokerSettings(
            data,
            host="0.0.0.0",
            advertise="me",
            sc_port=1,
            spu_port=2,
            durability=Durability.POWER,
            faults=Faults(cut_batches=True, delay_s=1.0),
            tls=TlsFiles(Path("c"), Path("k"), Path("a")),
            limits=ConnectionLimits(9, 99_999_999),
        )
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--faults", "x"), "found fault 'x'"),
        (("--tls-cert", "x"), "without --tls-key"),
        (("--connections-max", "0"), "found limits of 0 connections"),
        (("--memory-max", "1000"), "1000 bytes of memory"),
    ],
)
def test_options_that_make_no_sense(
    options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        settings_of(["--data", "x", *options])
    assert end.value.code == 2
    assert words in capsys.readouterr().err
