"""Objects of buckets as files to import: ``s3://bucket/key``, ``gs://bucket/folder/``.

They are read by ranges, into a few blocks of memory, and asked for again for a while where
the storage does not answer. Endpoint and credentials are found as the storages' own tools
find them; none is ever taken from a URI, since that ends in logs.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

from qd_store.errors import ImportStopped, SourceLost, SourceUnreadable
from qd_store.imports.files import EXPECTED, StoredFile

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")

BLOCK_BYTES = 4 * 1024 * 1024
"""A file is fetched in blocks so large: the way to a bucket is long, but broad."""
SCATTERED_BLOCK_BYTES = 1024 * 1024
SCATTERED_BLOCKS_MAX = 18
"""An archive's blocks: one for each market that is read side by side, and its directory."""
FIND_SECONDS: tuple[float, ...] = (0.2, 1.0)
"""The waits before a storage is asked again what it has: a wrong endpoint is said soon."""
READ_SECONDS: tuple[float, ...] = (0.2, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The waits before a block is asked for again."""
_CONNECT_SECONDS_MAX: Final = 3.0
_GS_RETRY_SECONDS: Final = 5  # its own default is a quarter of an hour

_SCHEMES: Final = ("s3", "gs")
_OPTIONS: Final = ("endpoint_override", "scheme", "region")
_KNOWN: Final = "s3://bucket/key, gs://bucket/key or file:///path"
_CODE: Final = re.compile(
    r"AWS Error (?P<aws>\w+)(?: \(HTTP status (?P<status>\d+)\))?.*? operation: (?P<said>.*)"
    r"|google::cloud::Status\((?P<gs>\w+): (?P<why>.*)",
    re.S,
)
_DENIED: Final = {
    *("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "EXPIRED_TOKEN"),
    *("INVALID_CLIENT_TOKEN_ID", "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT"),
    *("PERMISSION_DENIED", "UNAUTHENTICATED"),
}
_MISSING: Final = {"NO_SUCH_BUCKET", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND", "NOT_FOUND"}
_PASSING: Final = {
    *("NETWORK_CONNECTION", "SLOW_DOWN", "THROTTLING", "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE"),
    *("REQUEST_TIMEOUT", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"),
}
_UNREACHED: Final = re.compile(r"(?i)could not (?:connect|resolve)|curlCode: (?:6|7|28)\b")
_NO_CREDENTIALS: Final = "Could not create a OAuth2 access token"
_TLS: Final = re.compile(r"(?i)\bSSL\b|\bTLS\b|certificate")
_SAID_CHARS_MAX: Final = 300


def objects_at(uri: str, stop: threading.Event) -> StoredFile | list[StoredFile]:
    """The object that a URI names, or all objects of a folder and its folders, by name.

    Parameters
    ----------
    uri : str
        ``s3://bucket/key`` or ``gs://bucket/key``, with the key as it is, not escaped; one
        that ends with ``/``, or that other keys continue, is a folder. The query
        ``?endpoint_override=host:port&scheme=http&region=name`` (each of them may be left
        out) names another storage than the environment does.
    stop : threading.Event
        Ends the waiting for a storage that does not answer.

    Raises
    ------
    SourceUnreadable
        It is no such URI, there is nothing, or it must not be read.
    SourceLost
        The storage does not answer.
    """
    bucket = _Bucket(uri, stop)
    key = bucket.key.rstrip("/")
    path = f"{bucket.name}/{key}" if key else bucket.name
    info = bucket.ask(uri, lambda: bucket.system.get_file_info(path), FIND_SECONDS)
    if info.is_file and not bucket.key.endswith("/"):
        return ObjectFile(bucket, path, info.size)
    if info.type.name == "NotFound":
        raise SourceUnreadable(f"{uri} does not exist; expected {EXPECTED}")
    return bucket.files_below(path)


class _Bucket:
    """A bucket, and what is asked of it."""

    def __init__(self, uri: str, stop: threading.Event) -> None:
        scheme, _, rest = uri.partition("://")
        self.scheme = scheme.lower()
        where, _, query = rest.partition("?")
        self.name, _, self.key = where.partition("/")
        self._stop = stop
        if self.scheme not in _SCHEMES or not self.name:
            raise SourceUnreadable(f"{uri} is of an unknown kind; expected {_KNOWN}")
        user, at, _ = self.name.rpartition("@")
        if at and (self.scheme, user) != ("gs", "anonymous"):
            raise SourceUnreadable(
                f"a {self.scheme}:// URI holds credentials, which belong in the environment or "
                "in files: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_SHARED_CREDENTIALS_FILE; GOOGLE_APPLICATION_CREDENTIALS"
            )
        self.system = self.ask(uri, lambda: self._system(uri, query), FIND_SECONDS)
        self.name = self.name.rpartition("@")[2]

    def _system(self, uri: str, query: str) -> FileSystem:
        from pyarrow import ArrowInvalid

        try:
            return _s3(self.name, query) if self.scheme == "s3" else _gs(self.name, query)
        except (ArrowInvalid, ValueError) as error:
            raise SourceUnreadable(f"{uri} is no URI that can be used: {error}") from error

    def name_of(self, path: str) -> str:
        """An object for people, as it can be given again."""
        return f"{self.scheme}://{path}"

    def files_below(self, path: str) -> list[StoredFile]:
        """All objects below a folder."""
        from pyarrow.fs import FileSelector

        below = FileSelector(path, recursive=True)
        name = f"{self.name_of(path)}/"
        found = self.ask(name, lambda: self.system.get_file_info(below), FIND_SECONDS)
        objects = (info for info in found if info.is_file)
        return [
            ObjectFile(self, info.path, info.size)
            for info in sorted(objects, key=lambda info: PurePosixPath(info.path))
        ]

    def ask(self, name: str, question: Callable[[], T], waits: tuple[float, ...]) -> T:
        """Ask the storage, and again after each wait where it does not answer.

        Raises
        ------
        SourceUnreadable, SourceLost
            What it said, in a user's words.
        ImportStopped
            The caller asked for it.
        """
        for seconds in (*waits, None):
            try:
                return question()
            except (OSError, ValueError) as error:
                failure = translated(name, error)
                if seconds is None or not failure.retriable:
                    raise failure from error
            if self._stop.wait(seconds):
                raise ImportStopped("the import was stopped; running it again finishes the rest")
        raise AssertionError("the last attempt returns or raises")


def _s3(bucket: str, query: str) -> FileSystem:
    """An S3 storage, by the URI's query or the environment that AWS's own tools have.

    When it is asked again is decided here, not by the library, which cannot be stopped.
    """
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    if unknown := set(given) - set(_OPTIONS):
        raise ValueError(f"{', '.join(sorted(unknown))} is not known; known: {', '.join(_OPTIONS)}")
    scheme, endpoint = given.get("scheme"), given.get("endpoint_override")
    if endpoint is None:
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        url = next((os.environ[name] for name in names if os.environ.get(name)), "")
        before, _, endpoint = url.rstrip("/").rpartition("://")
        scheme = scheme or before or None
    region = given.get("region")
    if region is None and not endpoint:
        region = resolve_s3_region(bucket)
    return S3FileSystem(
        endpoint_override=endpoint or None,
        scheme=scheme,
        region=region,
        connect_timeout=_CONNECT_SECONDS_MAX,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
    )


def _gs(bucket: str, query: str) -> FileSystem:
    """A Google storage, by the environment that its own tools have."""
    from pyarrow.fs import FileSystem

    if "retry_limit_seconds=" not in query:
        query = f"{query}&retry_limit_seconds={_GS_RETRY_SECONDS}".lstrip("&")
    return FileSystem.from_uri(f"gs://{bucket}?{query}")[0]


class ObjectFile:
    """An object of a bucket."""

    def __init__(self, bucket: _Bucket, path: str, size: int) -> None:
        self._bucket = bucket
        self._path = path
        self.name = bucket.name_of(path)
        self.path = PurePosixPath(path)
        self.size = size

    def open(self, *, scattered: bool = False) -> IO[bytes]:
        """Open it for reading."""
        return cast(IO[bytes], _Ranges(self, scattered=scattered))

    def opened(self) -> tuple[Any, int]:
        """The storage library's own file, of the object as it is now, and its bytes."""

        def opened() -> tuple[Any, int]:
            file = self._bucket.system.open_input_file(self._path)
            return file, file.size()

        return self.ask(opened)

    def ask(self, question: Callable[[], T]) -> T:
        """Ask the storage about this object."""
        return self._bucket.ask(self.name, question, READ_SECONDS)


class _Ranges:
    """An object that is read by ranges; the blocks used last are kept."""

    def __init__(self, stored: ObjectFile, *, scattered: bool) -> None:
        self._stored = stored
        self._scattered = scattered
        self._block_bytes = SCATTERED_BLOCK_BYTES if scattered else BLOCK_BYTES
        self._blocks_max = SCATTERED_BLOCKS_MAX if scattered else 1
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._file, self._size = stored.opened()
        self._position = 0

    def __enter__(self) -> _Ranges:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._blocks.clear()
        with contextlib.suppress(OSError):
            self._file.close()

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("a place before its start")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._position, 0)
        data = b"".join(self._pieces(left if size < 0 else min(size, left)))
        if not left and not self._scattered:
            self._refuse_other()
        return data

    def _pieces(self, count: int) -> Iterator[bytes]:
        while count:
            number, start = divmod(self._position, self._block_bytes)
            piece = self._block(number)[start : start + count]
            self._position += len(piece)
            count -= len(piece)
            yield piece

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            while len(self._blocks) >= self._blocks_max:
                self._blocks.popitem(last=False)
            self._blocks[number] = self._fetched(number * self._block_bytes)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetched(self, offset: int) -> bytes:
        wanted = min(self._block_bytes, self._size - offset)
        data: bytes = self._stored.ask(lambda: self._file.read_at(wanted, offset))
        if len(data) != wanted:
            raise OSError(f"it gave {len(data)} of {wanted} bytes from {offset} on")
        return data

    def _refuse_other(self) -> None:
        """Half a line of another object of this name may look whole."""
        now, _ = self._stored.opened()
        with now:
            if now.metadata() != self._file.metadata():
                raise OSError("it was written to while it was read")


def translated(name: str, error: OSError | ValueError) -> SourceUnreadable:
    """What a storage said, in a user's words."""
    if isinstance(error, FileNotFoundError):
        return SourceUnreadable(f"{name} does not exist; expected {EXPECTED}")
    found = _CODE.search(str(error))
    code, said = _parts(found) if found else ("", str(error))
    said = re.sub(r"\s+", " ", said.partition(" (Request ID")[0].partition(" error_info=")[0])
    said = said.strip(" .")[:_SAID_CHARS_MAX]
    if code in _MISSING:
        return SourceUnreadable(f"{name} does not exist ({said}); expected {EXPECTED}")
    if isinstance(error, ValueError):  # Google's closes a file whose connection it lost
        code = "UNAVAILABLE"
    if code in _DENIED or _NO_CREDENTIALS in said:
        return SourceUnreadable(
            f"{name} must not be read ({_words(code, said)}): give credentials that may, by "
            f"{_credentials(name)}; a storage may say so of what is not there, too"
        )
    if code not in _PASSING:
        return SourceUnreadable(
            f"{name} cannot be read ({said}): look at its name, the endpoint and the region"
        )
    if _TLS.search(said):
        return SourceUnreadable(
            f"{name} cannot be reached by TLS ({said}): look at the endpoint, at scheme=http "
            "where it has no TLS, and at AWS_CA_BUNDLE for an authority of your own"
        )
    if _UNREACHED.search(said):
        return SourceLost(
            f"{name} cannot be reached ({said}): look at the network and the endpoint "
            f"({_endpoints(name)}), and run it again"
        )
    return SourceLost(f"{name} was lost while it was read ({said}): run it again")


def _parts(found: re.Match[str]) -> tuple[str, str]:
    """The code that says what kind of error it is, and the rest for people."""
    if found["gs"]:
        return found["gs"], found["why"].replace(
            "Retry policy exhausted, with a last message of", ""
        )
    served = (found["status"] or "").startswith("5")
    return "SERVICE_UNAVAILABLE" if served else found["aws"], found["said"]


def _words(code: str, said: str) -> str:
    return "no credentials" if _NO_CREDENTIALS in said else code.lower().replace("_", " ")


def _endpoints(name: str) -> str:
    own = "endpoint_override in the URI"
    return own if name.startswith("gs:") else f"AWS_ENDPOINT_URL, or {own}"


def _credentials(name: str) -> str:
    if name.startswith("gs:"):
        return "GOOGLE_APPLICATION_CREDENTIALS"
    return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile (AWS_PROFILE)"
