"""A rehearsal finds what an import finds, and leaves no trace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from qd_store.errors import ImportStopped, SourceUnreadable
from qd_store.imports import FileState, ImportReport, Progress, check_files

Importer = Callable[..., ImportReport]


def test_it_finds_what_the_import_finds(shared_data: Path, importer: Importer) -> None:
    checked = check_files([shared_data / "trades"])
    imported = importer(shared_data / "trades")
    assert {file.state for file in checked.files} == {FileState.CHECKED}
    for ours, theirs in zip(checked.files, imported.files, strict=True):
        names = ("file", "symbol", "rows", "known", "rejected", "reasons", "layout", "error")
        assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]
    assert (checked.rows, checked.rejected) == (368_597, 1)


def test_it_refuses_what_the_import_refuses(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("1514764802,1,1\n1514764802,1,1\nbad\n")
    (tmp_path / "B.csv").write_text("b,b\n")
    (tmp_path / "c d.csv").write_text("1514764802,1,1\n")
    before = sorted(tmp_path.iterdir())
    good, *bad = check_files([tmp_path]).files
    assert (good.state, good.rows, good.reasons) == (
        FileState.CHECKED,
        2,
        {"wrong number of columns": 1},
    )
    assert [file.state for file in bad] == [FileState.REFUSED] * 2
    assert "has unknown columns" in bad[0].error
    assert "'c d' is no name of a market on kraken" in bad[1].error
    strict = check_files([tmp_path / "A.csv"], strict=True).files[0]
    assert (strict.state, strict.rows, strict.rejected) == (FileState.REFUSED, 0, 1)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(SourceUnreadable, match="does not exist"):
        check_files([tmp_path / "missing.csv"])


def test_it_stops_when_asked(tmp_path: Path) -> None:
    for name in "AB":
        (tmp_path / f"{name}.csv").write_text("1514764802,1,1\n")
    stop = threading.Event()
    seen: list[Progress] = []

    def see(progress: Progress) -> None:
        seen.append(progress)
        stop.set()

    with pytest.raises(ImportStopped):
        check_files([tmp_path], progress=see, stop=stop)
    assert [progress.symbol for progress in seen] == ["A"]
