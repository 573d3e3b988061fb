"""Reading log files: in time order, and as they grow."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qd_cli.logs import follow_logs, last_lines


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_lines_of_several_parts_are_in_time_order(tmp_path: Path) -> None:
    files = {
        "database": write(tmp_path / "d", "2026-01-01 10:00:01.500 UTC [1] LOG:  b", "    more"),
        "gateway": write(
            tmp_path / "g", "2026-01-01T10:00:01.000Z INFO a", "2026-01-01T10:00:02.000Z INFO c"
        ),
    }
    assert [line[-1] for line in last_lines(files, 10)] == ["a", "b", "e", "c"]
    assert [line.split(" | ")[0].strip() for line in last_lines(files, 10)] == [
        *("gateway", "database", "database", "gateway")
    ]
    assert len(last_lines(files, 2)) == 2
    assert last_lines(files, 0) == []


def test_one_part_has_no_prefix(tmp_path: Path) -> None:
    assert last_lines({"gateway": write(tmp_path / "g", "x", "y")}, 1) == ["y"]


async def test_following_sees_new_lines_and_replaced_files(tmp_path: Path) -> None:
    path = write(tmp_path / "g", "old")
    seen: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.ensure_future(follow_logs({"g": path}, seen.put_nowait))
    await asyncio.sleep(0)
    with path.open("a") as file:
        file.write("new\nha")
        file.flush()
        assert await seen.get() == "new"
        file.write("lf\n")
    assert await seen.get() == "half"
    path.rename(tmp_path / "older")
    write(path, "fresh")
    assert await seen.get() == "fresh"
    task.cancel()
    await asyncio.wait({task})
