"""docs/processors.md: its Python runs, its commands run, its tables name what there is."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from qd_fluvio import connect
from qd_fluvio import processors as p
from qd_fluvio.processors.shipped import SHIPPED

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "processors.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
COMMANDS = [
    line for language, block in BLOCKS if language == "sh" for line in block.strip().splitlines()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the document has its reader write."""
    for language, block in BLOCKS:
        named = re.match(r"# (\w+\.py)\n", block)
        if language == "python" and named:
            (tmp_path / named[1]).write_text(block)
    return tmp_path


def test_its_python_runs(folder: Path) -> None:
    programs = [block for language, block in BLOCKS if language == "python"]
    assert len(programs) >= 4
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program}\n{done.stderr}"


async def test_its_commands_run(folder: Path, fluvio_endpoint: str) -> None:
    topics = set(re.findall(r"--from (\S+)", "\n".join(COMMANDS)))
    async with connect(fluvio_endpoint) as fluvio:
        before = {found.name for found in await fluvio.topics()}
        for topic in topics:
            await fluvio.create_topic(topic, exist_ok=True)
    try:
        for command in COMMANDS:
            _, *words = shlex.split(command)
            ending = ["--once"] if words[1] == "run" and "--once" not in words else []
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "qd_cli", *words, *ending],
                cwd=folder,
                env={**os.environ, "QD_FLUVIO": fluvio_endpoint, "QD_FLUVIO_CLIENT": "native"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
    finally:
        async with connect(fluvio_endpoint) as fluvio:
            for found in await fluvio.topics():
                if found.name not in before:
                    await fluvio.delete_topic(found.name)


def test_it_names_every_shipped_processor_codec_and_decorator() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)`", TEXT, re.M))
    assert set(SHIPPED) <= rows
    for codec in (p.BYTES, p.TEXT, p.JSON, p.SBE, p.RECORD, p.TRADES, p.BARS):
        assert f"`{codec.name}`" in TEXT
    for name in ("filter", "map", "filter_map", "array_map", "dispatch"):
        assert callable(getattr(p, name))
        assert name in rows
    for dtype in (p.TRADE_ROW, p.BAR_ROW):
        assert f"`{' '.join(dtype.names or ())}`" in TEXT
