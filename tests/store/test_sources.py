"""Files are found in folders and zips, and read as whole lines; broken ones say so."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
from pathlib import Path

import psutil
import pytest

from qd_store.errors import SourceUnreadable
from qd_store.exchanges.kraken import KRAKEN
from qd_store.imports import sources
from qd_store.imports.sources import Source, find_sources

TEXT = b"".join(b"%d,1.5,2\n" % (1514764802 + i) for i in range(1000))


def read(source: Source) -> list[bytes]:
    with source.blocks() as blocks:
        return [data for data, _ in blocks]


def make_tree(root: Path) -> None:
    (root / "deep").mkdir(parents=True)
    (root / "B.csv").write_bytes(TEXT)
    (root / "deep" / "A.CSV.gz").write_bytes(gzip.compress(TEXT))
    (root / "notes.txt").write_text("no trades")
    (root / ".hidden.csv").write_bytes(TEXT)
    (root / "B-01234567.rejects.csv").write_text("file,line,reason,text\n")
    with zipfile.ZipFile(root / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/D.csv", TEXT)
        archive.writestr("C.csv.gz", gzip.compress(TEXT))
        archive.writestr("__MACOSX/._D.csv", b"")
        archive.writestr("README.md", b"")


def test_folders_and_zips(tmp_path: Path) -> None:
    make_tree(tmp_path)
    found = find_sources([tmp_path], KRAKEN)
    assert [source.symbol for source in found] == ["B", "C", "D", "A"]
    assert all(b"".join(read(source)) == TEXT for source in found)
    assert found[2].name == f"{tmp_path}/c.zip/inner/D.csv"


def test_positions_reach_the_total(tmp_path: Path) -> None:
    make_tree(tmp_path)
    for source in find_sources([tmp_path], KRAKEN):
        with source.blocks() as blocks:
            *_, (_, position) = blocks
        assert position == source.bytes_total


def test_a_path_given_twice_is_one_source(tmp_path: Path) -> None:
    make_tree(tmp_path)
    assert len(find_sources([tmp_path / "B.csv", tmp_path / "B.csv"], KRAKEN)) == 1


def test_blocks_are_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 7)  # shorter than a line
    (tmp_path / "B.csv").write_bytes(TEXT + b"1514764802,1")
    (source,) = find_sources([tmp_path], KRAKEN)
    blocks = read(source)
    assert b"".join(blocks) == TEXT + b"1514764802,1"
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_what_is_not_there_or_not_trades(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    (tmp_path / "bad name!.csv").write_bytes(TEXT)
    for path in ("missing.csv", "empty", "a.parquet", "bad name!.csv", f"{'x' * 300}.csv"):
        with pytest.raises(SourceUnreadable, match="expected"):
            find_sources([tmp_path / path], KRAKEN)


def test_a_bad_file_among_others_is_only_itself(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_bytes(TEXT)
    (tmp_path / "a b.csv").write_bytes(TEXT)
    (tmp_path / "damaged.zip").write_bytes(b"no zip")
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("C.csv", TEXT)
        archive.writestr("c\x1b d.csv", TEXT)
    found = {source.symbol: source for source in find_sources([tmp_path], KRAKEN)}
    assert set(found) == {"A", "a b.csv", "damaged.zip", "C", "c\\x1b d.csv"}
    for name in ("A", "C"):
        assert b"".join(read(found.pop(name))) == TEXT
    for source in found.values():
        with pytest.raises(SourceUnreadable, match=r"rename|get it again"):
            read(source)


@pytest.mark.parametrize(
    "name", ["cut.csv.gz", "cut.zip", "no.zip", "no.csv.gz", "nil.csv.gz", "nil.zip"]
)
def test_damaged_files_say_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("A.csv", TEXT)
    else:
        path.write_bytes(gzip.compress(TEXT))
    whole = path.read_bytes()
    damaged = {"cut": whole[:-30], "no": b"1514764802,1,1\n" * 50, "nil": b""}
    path.write_bytes(damaged[name.partition(".")[0]])
    with pytest.raises(SourceUnreadable, match="cannot be read"):
        [read(source) for source in find_sources([path], KRAKEN)]


def test_a_damaged_zip_member_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("A.csv", TEXT)
    path.write_bytes(path.read_bytes().replace(b"1514764802,1.5", b"1514764802,9.5", 1))
    (source,) = find_sources([path], KRAKEN)
    with pytest.raises(SourceUnreadable, match="Bad CRC"):
        read(source)


def test_a_line_without_end_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_bytes(b"x" * 3_000_000)
    (source,) = find_sources([tmp_path], KRAKEN)
    with pytest.raises(SourceUnreadable, match="no text file of trades"):
        read(source)


def test_an_error_of_the_reader_stays_its_own(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_bytes(TEXT)
    (source,) = find_sources([tmp_path], KRAKEN)
    with pytest.raises(OSError, match="mine"), source.blocks():
        raise OSError("mine")


def test_a_zips_members_are_read_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1_000)
    texts = {f"M{index}": TEXT.replace(b"1.5", b"%d.5" % index) for index in range(4)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(f"{name}.csv", text)
    found = find_sources([tmp_path], KRAKEN)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(source.blocks()) for source in found]
        rounds = list(zip(*readers, strict=True))
    assert len(rounds) > 10
    for source, blocks in zip(found, zip(*rounds, strict=True), strict=True):
        assert b"".join(data for data, _ in blocks) == texts[source.symbol]


def test_a_zip_is_open_only_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("A.csv", "B.csv"):
            archive.writestr(name, TEXT)

    def is_open() -> bool:
        return str(path) in {file.path for file in psutil.Process().open_files()}

    first, second = find_sources([path], KRAKEN)
    assert not is_open()
    with first.blocks() as a, second.blocks() as b:
        assert next(a)[0] == next(b)[0] == TEXT
        assert is_open()
    assert not is_open()
    assert b"".join(read(first)) == TEXT


def test_a_zip_may_hold_a_name_twice(tmp_path: Path) -> None:
    texts = {"A.csv": TEXT, "a.csv": TEXT[:140]}  # renamed below
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    path = tmp_path / "a.zip"
    path.write_bytes(path.read_bytes().replace(b"a.csv", b"A.csv"))
    first, second = find_sources([path], KRAKEN)
    assert (first.name, second.name) == (f"{path}/A.csv", f"{path}/A.csv (2)")
    assert [b"".join(read(source)) for source in (first, second)] == list(texts.values())


def test_a_file_that_grows_while_it_is_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1_000)
    path = tmp_path / "A.csv"
    path.write_bytes(TEXT)
    (source,) = find_sources([path], KRAKEN)
    with source.blocks() as blocks:
        next(blocks)
        with path.open("ab") as file:
            file.write(b"1514765802,1.5,2")
        with pytest.raises(SourceUnreadable, match="written to while it was read"):
            list(blocks)
