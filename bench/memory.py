"""Peak memory of an import and of a gateway that streams, at two lengths: both must be flat."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
from pathlib import Path

from bench.end_to_end import family
from bench.report import Row, compared
from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB
from qd_client import QDClient
from qd_client.local import StackRecord

KIB = 1024
SHORT = 4  # the shorter length is a fourth of the longer one
IMPORT = """
import os, sys
from pathlib import Path
from qd_store.imports import import_paths
dsn, csv, folder = os.environ["QD_DATABASE"], *sys.argv[1:]
assert not import_paths(dsn, [csv], rejects_folder=Path(folder)).refused
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


def part_of(csv: Path, lines: int, path: Path) -> Path:
    """Write the first lines of a CSV to a file of its own."""
    opener = gzip.open if csv.suffix == ".gz" else open
    with opener(csv, "rb") as whole, path.open("wb") as part:
        part.writelines(itertools.islice(whole, lines))
    return path


def import_peak_bytes(dsn: str, csv: Path, folder: Path) -> int:
    """Import a file in a process of its own and return its peak memory."""
    command = [sys.executable, "-c", IMPORT, str(csv), str(folder)]
    return KIB * int(answer_of(command, dsn))


def answer_of(command: list[str], dsn: str) -> str:
    """Run a program that finds the DSN, and with it a password, in its environment."""
    environment = {**os.environ, DATABASE: dsn}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout


async def stream_peak_bytes(record: StackRecord, symbol: str) -> int:
    """Stream a market and return the peak memory of the gateway and its helpers meanwhile."""
    settings, gateway = record.settings, record.parts["gateway"].pid
    async with QDClient(endpoint=settings[FLUVIO], symdb=settings[SYMDB]) as qd:
        for process in family(gateway):
            forget_peak(process.pid)
        async for _ in qd.trades(symbol):
            pass
        return sum(peak_bytes(process.pid) for process in family(gateway))


def peak_bytes(pid: int) -> int:
    """Return the most that a process had resident (VmHWM of proc(5)).

    Not getrusage's: that counts what the parent had when it started the process.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM"))


def forget_peak(pid: int) -> None:
    """Begin the peak of a process anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


async def memory(record: StackRecord, csv: Path, trades: int, folder: Path) -> list[Row]:
    """Return the peaks for a part of a market and for all of it."""
    lines = {"SHORT": trades // SHORT, "LONG": trades}
    files = {name: part_of(csv, count, folder / f"{name}.csv") for name, count in lines.items()}
    dsn = record.settings[DATABASE]
    imports = [import_peak_bytes(dsn, path, folder) for path in files.values()]
    await stream_peak_bytes(record, "SHORT")  # the first stream loads what all need
    streams = [await stream_peak_bytes(record, name) for name in files]
    return [
        row
        for name, (short, long) in {"import": imports, "gateway streaming": streams}.items()
        for row in _both(name, lines, short, long)
    ]


def _both(name: str, lines: dict[str, int], short: int, long: int) -> list[Row]:
    first = Row(f"{name} of {lines['SHORT']:,} trades", short, "bytes")
    return [first, compared(f"{name} of {lines['LONG']:,} trades", long, "bytes", first)]
