"""The embedded server as a process: it starts, stops, survives kill -9, and refuses clearly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from qd_store import DatabaseUnreachable, Store
from qd_store.embedded import runtime
from qd_store.embedded import server as embedded
from qd_store.embedded.cluster import DataFolder
from qd_store.embedded.runtime import find_runtime
from qd_store.errors import EmbeddedFailed, FetchLost
from qd_store.imports import import_paths
from qd_store.reading import TradeQuery
from support.ports import free_port
from support.processes import Process, ServiceDied

MODULE = "qd_store.embedded"
END_SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has been set up, and whose server was stopped."""
    folder = tmp_path_factory.mktemp("prepared")
    process = Process(MODULE, "--data", str(folder / "data"), folder=folder)
    process.wait_ready()
    assert process.stop() == 0
    return folder / "data"


@pytest.fixture
def folder(tmp_path: Path, prepared: Path) -> Path:
    """A data folder of this test's own."""
    subprocess.run(["cp", "-a", prepared, tmp_path / "data"], check=True)  # owners and all
    return tmp_path / "data"


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Process]:
    process = Process(MODULE, "--data", str(folder), folder=tmp_path)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


def dsn_of(process: Process) -> str:
    return str(process.wait_ready()["dsn"])


def postgres_of(process: Process) -> psutil.Process:
    (found,) = psutil.Process(process.pid).children()
    return found


def refused(process: Process) -> str:
    """The log of a server that does not start."""
    with pytest.raises(ServiceDied):
        process.wait_ready()
    assert process.stop() == 1
    assert "Traceback" not in process.log()
    return process.log()


def again(folder: Path, tmp_path: Path) -> Process:
    return Process(MODULE, "--data", str(folder), folder=tmp_path / "again")


def test_it_serves_with_a_password_on_the_loopback_only(server: Process, folder: Path) -> None:
    dsn = dsn_of(server)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()
        assert row == ("127.0.0.1",)
    password = (folder / "password").read_text().strip()
    assert password in dsn
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn.replace(password, "wrong"))
    for private in (folder / "password", server.ready_file):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads(server.ready_file.read_text())["pid"] == server.pid


def test_postgres_never_runs_as_root(server: Process) -> None:
    assert postgres_of(server).uids().effective != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_although_clients_are_connected(
    server: Process, number: signal.Signals
) -> None:
    postgres = postgres_of(server)
    with contextlib.closing(psycopg.connect(dsn_of(server))) as connection:
        connection.execute("SELECT 1")
        server.popen.send_signal(number)
        assert server.popen.wait(END_SECONDS_MAX) == 0
    assert not postgres.is_running()


def test_data_survive_kill_9_and_the_server_dies_with_the_wrapper(
    server: Process, folder: Path, tmp_path: Path
) -> None:
    with psycopg.connect(dsn_of(server)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    second = again(folder, tmp_path)  # at once: it ends what the first one left
    try:
        with psycopg.connect(dsn_of(second)) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        assert second.stop() == 0


def test_a_crash_of_postgres_ends_the_wrapper_with_an_error(server: Process) -> None:
    postgres_of(server).kill()
    assert server.popen.wait(END_SECONDS_MAX) == 1
    assert "PostgreSQL ended by itself" in server.log()
    assert "Traceback" not in server.log()


def test_a_crash_of_postgres_after_its_first_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = embedded._answers

    def last_answer(process: subprocess.Popen[str], dsn: str) -> bool:
        found = answers(process, dsn)
        process.kill()
        return found

    monkeypatch.setattr(embedded, "_answers", last_answer)
    data = DataFolder(folder)
    with (
        data.locked(),
        pytest.raises(EmbeddedFailed, match="before it answered"),
        embedded.running(data, find_runtime(data.owner()), 0),
    ):
        pass


def test_a_folder_without_its_password_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "password").unlink()
    assert "password" in refused(again(folder, tmp_path))


def test_a_lock_file_of_a_process_that_is_another_now_does_not_matter(
    server: Process, folder: Path, tmp_path: Path
) -> None:
    server.stop()
    (folder / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n/nowhere\n0\n0\n")
    second = again(folder, tmp_path)
    try:
        second.wait_ready()
    finally:
        second.stop()


def test_the_same_folder_twice_is_refused(server: Process, folder: Path, tmp_path: Path) -> None:
    log = refused(again(folder, tmp_path))
    assert f"is in use by process {server.pid}: stop that one" in log
    psycopg.connect(dsn_of(server)).close()


def test_a_port_can_be_chosen_and_a_taken_one_is_refused(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        process = Process(MODULE, "--data", str(folder), "--port", str(port), folder=tmp_path)
        assert f"port {port} on 127.0.0.1 cannot be used" in refused(process)
    process = Process(MODULE, "--data", str(folder), "--port", str(port), folder=tmp_path)
    try:
        assert f":{port}/" in dsn_of(process)
    finally:
        process.stop()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = Process(MODULE, "--data", str(tmp_path / "file" / "data"), folder=tmp_path)
    assert "cannot be used: Not a directory" in refused(process)


def test_a_setup_cut_short_is_begun_anew(folder: Path, tmp_path: Path) -> None:
    (folder / "cluster").rename(folder / "cluster.part")
    process = Process(MODULE, "--data", str(folder), folder=tmp_path)
    try:
        process.wait_ready()
    finally:
        process.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a copy of the programs")
def test_a_copy_of_the_programs_cut_short_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = runtime._copy_programs

    def cut(installed: Path, part: Path) -> None:
        monkeypatch.setattr(runtime, "_copy_programs", copy)
        (part / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(runtime, "_copy_programs", cut)
    place, installed = tmp_path / "place", runtime._installed_folder()
    with pytest.raises(KeyboardInterrupt):
        runtime._copied(installed, place)
    programs = runtime._copied(installed, place)
    assert (programs / "postgres").exists()
    assert [path.name for path in place.iterdir()] == [programs.relative_to(place).parts[0]]


def test_it_dies_with_its_starter(folder: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    starter = (
        "import os, subprocess, sys\n"
        "os.environ['QD_DIE_WITH_PARENT'] = str(os.getpid())\n"
        "subprocess.Popen([sys.executable, '-m', 'qd_store.embedded', '--data', sys.argv[1]])\n"
        "sys.stdin.read()\n"
    )
    popen = subprocess.Popen(
        [sys.executable, "-c", starter, str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "QD_READY_FILE": str(ready)},
    )
    assert popen.stderr is not None
    assert popen.stdin is not None
    with popen.stdin, popen.stderr as log:
        while b"INFO qd_store.embedded ready" not in (line := log.readline()):
            assert line, "the server ended before it was ready"
        wrapper = psutil.Process(json.loads(ready.read_text())["pid"])
        left = [wrapper, *wrapper.children()]
        popen.kill()
        popen.wait()
        gone, alive = psutil.wait_procs(left, timeout=END_SECONDS_MAX)
        assert alive == []
        assert len(gone) == 2


async def test_a_restart_amid_a_stream_is_retriable_and_misses_nothing(
    server: Process, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "XBTEUR.csv"
    path.write_text("".join(f"{1514764802 + i},5,1\n" for i in range(200_000)))
    await asyncio.to_thread(import_paths, dsn_of(server), [path], rejects_folder=tmp_path)
    seen: list[int] = []
    async with Store.open(dsn_of(server)) as store:
        (market,) = await store.markets(1)
        stream = store.fetch(TradeQuery(market), batch_rows=100)
        seen += (await anext(stream))["sequence"].tolist()
        server.kill()
        with pytest.raises(FetchLost) as caught:  # noqa: PT012 (what came before it counts)
            async for rows in stream:
                seen += rows["sequence"].tolist()
        assert caught.value.retriable
        assert caught.value.rest == TradeQuery(market, first_sequence=len(seen) + 1)
        with pytest.raises(DatabaseUnreachable):
            await store.exchanges()
        with pytest.raises(DatabaseUnreachable):
            await anext(store.fetch(TradeQuery(market)))
    second = again(folder, tmp_path)
    try:
        async with Store.open(dsn_of(second)) as store:
            async for rows in store.fetch(caught.value.rest):
                seen += rows["sequence"].tolist()
    finally:
        second.stop()
    assert seen == list(range(1, 200_001))
