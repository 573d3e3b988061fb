"""Objects of buckets are found, read and imported as files on disk are; what fails says why."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qd_store.errors import ImportStopped, SourceLost, SourceUnreadable
from qd_store.exchanges.kraken import KRAKEN
from qd_store.imports import FileState, ImportReport, Progress, check_files, objects
from qd_store.imports.sources import Source, find_sources
from support.buckets import Storage, storage
from support.relays import Relay

Importer = Callable[..., ImportReport]
Stored = Callable[[str], list[tuple[int, int, float, float]]]

ROWS = 10_000
TEXT = b"".join(b"%d,%d.5,2\n" % (1514764802 + i, i + 1) for i in range(ROWS))
BAD = b"1514764804,0,1\nhalf\n"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Storage]:
    with storage() as found:
        found.put("deep/A.csv.gz", gzip.compress(TEXT))
        found.put("deep/a b%20+/B.csv", TEXT)  # a key as it is: nothing is escaped in it
        found.put("deep/.hidden.csv", TEXT)
        found.put("deep/notes.txt", b"no trades")
        found.put("deep/c.zip", archive({"inner/D.csv": TEXT, "C.csv.gz": gzip.compress(TEXT)}))
        found.put("XBTEUR.csv", TEXT + BAD)
        found.put("damaged/cut.csv.gz", gzip.compress(TEXT)[:-30])
        found.put("damaged/cut.zip", archive({"E.csv": TEXT})[:-30])
        yield found


@pytest.fixture
def relay(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(objects, "READ_SECONDS", ())
    monkeypatch.setattr(objects, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr("qd_store.imports.sources.BLOCK_BYTES", 10_000)
    found = Relay(bucket.address)
    try:
        yield found
    finally:
        found.close()


def archive(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return packed.getvalue()


def read(source: Source) -> bytes:
    with source.blocks() as blocks:
        pieces = list(blocks)
    assert pieces[-1][1] == source.bytes_total
    return b"".join(data for data, _ in pieces)


def test_folders_and_zips_of_a_bucket(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(objects, "SCATTERED_BLOCK_BYTES", 5_000)
    monkeypatch.setattr(objects, "SCATTERED_BLOCKS_MAX", 2)
    found = find_sources([bucket.uri("deep/")], KRAKEN)
    assert [(source.name, source.symbol) for source in found] == [
        ("s3://trades/deep/A.csv.gz", "A"),
        ("s3://trades/deep/a b%20+/B.csv", "B"),
        ("s3://trades/deep/c.zip/C.csv.gz", "C"),
        ("s3://trades/deep/c.zip/inner/D.csv", "D"),
    ]
    assert all(read(source) == TEXT for source in found)


def test_a_zips_members_are_read_side_by_side(
    bucket: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qd_store.imports.sources.BLOCK_BYTES", 12_000)
    monkeypatch.setattr(objects, "SCATTERED_BLOCK_BYTES", 3_000)
    found = find_sources([bucket.uri("deep/c.zip")], KRAKEN)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(source.blocks()) for source in found]
        rounds = list(zip(*readers, strict=True))
    assert len(rounds) > 10
    for blocks in zip(*rounds, strict=True):
        assert b"".join(data for data, _ in blocks) == TEXT


@pytest.mark.parametrize("key", ["deep", "deep/", "", "XBTEUR.csv"])
def test_what_a_uri_names(key: str, bucket: Storage) -> None:
    names = [source.name for source in find_sources([bucket.uri(key)], KRAKEN)]
    assert names
    assert all(name.startswith(f"s3://trades/{key.rstrip('/')}") for name in names)


def test_an_endpoint_of_the_environment(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*bucket.address))
    (source,) = find_sources(["s3://trades/XBTEUR.csv"], KRAKEN)
    assert read(source) == TEXT + BAD


def test_a_uri_of_a_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "XBTEUR.csv"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    for uri in (path.as_uri(), path.parent.as_uri(), f"file://localhost{path}"):
        (source,) = find_sources([uri], KRAKEN)
        assert (source.name, read(source)) == (str(path), TEXT)
    with pytest.raises(SourceUnreadable, match="no file of this machine"):
        find_sources(["file://elsewhere/XBTEUR.csv"], KRAKEN)


def test_only_what_is_wanted_of_a_zip_is_fetched(
    bucket: Storage, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "SCATTERED_BLOCK_BYTES", 12_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
        for name in "ABCDEFGH":
            file.writestr(f"{name}.csv", TEXT)
    bucket.put("large.zip", packed.getvalue())
    source = find_sources([bucket.uri("large.zip", relay.port)], KRAKEN)[5]
    assert read(source) == TEXT
    assert relay.answered_bytes < 1.5 * len(TEXT)


def test_an_import_is_that_of_the_same_file_on_disk(
    bucket: Storage, importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    path = tmp_path / "XBTUSD.csv"
    path.write_bytes(TEXT + BAD)
    report = importer(bucket.uri("XBTEUR.csv"), bucket.uri("deep/c.zip"), path)
    first, *_, disk = report.files
    assert [file.state for file in report.files] == [FileState.IMPORTED] * 4
    assert (first.rows, first.rejected, first.reasons) == (disk.rows, disk.rejected, disk.reasons)
    assert stored("XBTEUR") == stored("XBTUSD")
    assert stored("C") == stored("D") == stored("XBTUSD")
    assert first.rejects is not None
    with first.rejects.open(newline="") as file:
        refused = [line[0] for line in csv.reader(file)][1:]
    assert refused == ["s3://trades/XBTEUR.csv"] * 2
    (again,) = importer(bucket.uri("XBTEUR.csv")).files
    assert (again.state, again.known) == (FileState.UNCHANGED, ROWS)


def test_a_connection_lost_in_mid_file_leaves_nothing_half_done(
    bucket: Storage, relay: Relay, importer: Importer, stored: Stored
) -> None:
    paths = [bucket.uri("deep/A.csv.gz"), bucket.uri("XBTEUR.csv", relay.port)]

    def cut(progress: Progress) -> None:
        if progress.symbol == "XBTEUR":
            relay.cut_after(0)

    other, lost = importer(*paths, progress=cut).files
    assert (other.state, lost.state) == (FileState.IMPORTED, FileState.REFUSED)
    assert lost.retriable
    assert "s3://trades/XBTEUR.csv was lost while it was read" in lost.error
    assert not stored("XBTEUR")
    relay.mend()
    other, found = importer(*paths).files
    assert (other.state, found.state, found.rows) == (
        FileState.UNCHANGED,
        FileState.IMPORTED,
        ROWS,
    )
    assert stored("XBTEUR") == stored("A")


class Mending(threading.Event):
    """Lets the relay pass everything again as soon as somebody waits for that."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def wait(self, timeout: float | None = None) -> bool:
        self._relay.mend()
        return self.is_set()


def test_a_storage_that_comes_back_is_asked_again(
    bucket: Storage, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "READ_SECONDS", (1.0,))
    stop = Mending(relay)
    (source,) = find_sources([bucket.uri("XBTEUR.csv", relay.port)], KRAKEN, stop)
    relay.cut_after(60_000)
    assert read(source) == TEXT + BAD
    relay.cut_after(0)
    stop.set()
    with pytest.raises(ImportStopped):
        read(source)


def test_an_object_written_while_it_is_read_is_refused(bucket: Storage) -> None:
    bucket.put("XBTCAD.csv", TEXT)
    (source,) = find_sources([bucket.uri("XBTCAD.csv")], KRAKEN)
    with source.blocks() as blocks:
        next(blocks)
        bucket.put("XBTCAD.csv", TEXT.replace(b"5", b"6"))
        with pytest.raises(SourceUnreadable, match="written to while it was read"):
            list(blocks)


def test_damaged_objects_say_so_and_harm_no_other(bucket: Storage) -> None:
    report = check_files([bucket.uri("damaged/"), bucket.uri("XBTEUR.csv")])
    *damaged, good = report.files
    assert good.rows == ROWS
    assert len(damaged) == 2
    assert all("cannot be read" in file.error and not file.retriable for file in damaged)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://trades/none.csv{}", "s3://trades/none.csv.* does not exist; expected a .csv"),
        ("s3://trades/none/{}", "s3://trades/none/.* does not exist; expected a .csv"),
        ("s3://nobody/XBTEUR.csv{}", "does not exist; expected a .csv"),
        ("s3://nobody{}", "does not exist; expected a .csv"),
        ("s3://trades/deep/notes.txt{}", "is of an unknown kind; expected a .csv"),
        ("s3://trades/XBTEUR.csv{}&colour=red", "colour is not known; known: endpoint_override"),
        ("s3:///XBTEUR.csv", "expected s3://bucket/key, gs://bucket/key or file:///path"),
        ("https://trades/XBTEUR.csv", "expected s3://bucket/key, gs://bucket/key or file:///path"),
    ],
)
def test_what_is_not_there_says_so(uri: str, says: str, bucket: Storage) -> None:
    endpoint = bucket.uri("").partition("/?")[2]
    with pytest.raises(SourceUnreadable, match=says) as caught:
        find_sources([uri.format(f"?{endpoint}")], KRAKEN)
    assert not caught.value.retriable


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(SourceUnreadable, match="AWS_ACCESS_KEY_ID") as caught:
        find_sources(["s3://AKIA123:hidden@trades/XBTEUR.csv"], KRAKEN)
    assert "hidden" not in str(caught.value)


def test_a_storage_that_lets_nobody_in(bucket: Storage) -> None:
    with bucket.closed():
        for key in ("XBTEUR.csv", "deep/"):
            with pytest.raises(SourceUnreadable, match="give credentials that may, by AWS_"):
                find_sources([bucket.uri(key)], KRAKEN)


AWS = "When reading 'a': AWS Error {}: it said so (Request ID: 1)"
GS = "google::cloud::Status({}: it said so error_info={{reason=}})"


@pytest.mark.parametrize(
    ("said", "kind", "says"),
    [
        (AWS.format("SLOW_DOWN during GetObject operation"), SourceLost, "run it again"),
        (AWS.format("UNKNOWN (HTTP status 503) during X operation"), SourceLost, "run it again"),
        (AWS.format("UNKNOWN (HTTP status 301) during X operation"), SourceUnreadable, "region"),
        (AWS.format("EXPIRED_TOKEN during X operation"), SourceUnreadable, "expired token"),
        (AWS.format("NO_SUCH_BUCKET during X operation"), SourceUnreadable, "does not exist"),
        (
            "AWS Error NETWORK_CONNECTION during X operation: curlCode: 7, Could not connect",
            SourceLost,
            "AWS_ENDPOINT_URL",
        ),
        (
            "AWS Error NETWORK_CONNECTION during X operation: curlCode: 60, SSL peer certificate",
            SourceUnreadable,
            "AWS_CA_BUNDLE",
        ),
        (GS.format("UNAVAILABLE"), SourceLost, "run it again"),
        (GS.format("PERMISSION_DENIED"), SourceUnreadable, "must not be read"),
        (GS.format("NOT_FOUND"), SourceUnreadable, "does not exist"),
        (
            GS.format("UNAVAILABLE: Could not create a OAuth2 access token"),
            SourceUnreadable,
            "no cred",
        ),
        ("anything else", SourceUnreadable, "anything else"),
    ],
)
def test_what_storages_say_in_a_users_words(
    said: str, kind: type[SourceUnreadable], says: str
) -> None:
    failure = objects.translated("s3://bucket/a.csv", OSError(said))
    assert type(failure) is kind
    assert str(failure).startswith("s3://bucket/a.csv ")
    assert says in str(failure)
    assert "Request ID" not in str(failure)
    assert "error_info" not in str(failure)


def test_a_file_that_its_library_closed_may_be_read_later() -> None:
    failure = objects.translated("gs://bucket/a.csv", ValueError("I/O operation on closed file"))
    assert type(failure) is SourceLost
