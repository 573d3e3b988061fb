"""Fluvio's own profile file: which clusters a user knows, and which of them is current.

Reads and edits ``~/.fluvio/config``, or the file that FLV_PROFILE_PATH names, as Fluvio's own
command does. An edit changes what it is about and keeps every other line as it is. Nothing
here connects to anything.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qd_cli.errors import ProfileBroken, RequestRefused

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

    from qd_schemas.specs import TlsSettings

PATH = "FLV_PROFILE_PATH"
_VERSION = "2.0"
_NAME_CHARACTERS_MAX = 200
_VERIFIED = ("verified", "verify")
_DISABLED = ("disabled", "disable")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile with the cluster that it names.

    Attributes
    ----------
    endpoint : str
        ``host:port`` of the cluster's SC; empty where the file lacks the cluster.
    tls : mapping
        The cluster's TLS table as the file has it; empty where it has none.
    """

    name: str
    cluster: str
    endpoint: str
    tls: Mapping[str, Any]
    is_current: bool

    @property
    def tls_policy(self) -> str:
        """``disabled``, ``anonymous`` or ``verified``, or whatever else the file says."""
        found = str(self.tls.get("tls_policy", _DISABLED[0]))
        return {_VERIFIED[1]: _VERIFIED[0], _DISABLED[1]: _DISABLED[0]}.get(found, found)


def default_path() -> Path:
    """Where Fluvio keeps the file: FLV_PROFILE_PATH, or in the home folder."""
    given = os.environ.get(PATH)
    return Path(given) if given else Path("~/.fluvio/config").expanduser()


class ProfileFile:
    """The file at one path; it need not exist.

    Parameters
    ----------
    path : Path, optional
        Where; by default where Fluvio keeps it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def profiles(self) -> list[Profile]:
        """All profiles, by name.

        Raises
        ------
        ProfileBroken
            The file is no profile file.
        """
        document = self._parsed()
        current = document.get("current_profile")
        clusters = self._tables(document, "cluster")
        found = []
        for name, profile in sorted(self._tables(document, "profile").items()):
            cluster = str(profile.get("cluster", ""))
            known = clusters.get(cluster, {})
            endpoint = str(known.get("endpoint", known.get("addr", "")))
            tls = known.get("tls", {})
            if not isinstance(tls, dict):
                raise self._broken(f"cluster.{cluster}.tls is no table")
            found.append(Profile(name, cluster, endpoint, tls, name == current))
        return found

    def current(self) -> Profile | None:
        """The current profile; None where there is none."""
        return next((profile for profile in self.profiles() if profile.is_current), None)

    def find(self, name: str) -> Profile:
        """The profile of this name.

        Raises
        ------
        RequestRefused
            There is none; the message says which there are.
        """
        profiles = self.profiles()
        found = next((profile for profile in profiles if profile.name == name), None)
        if found is None:
            known = ", ".join(profile.name for profile in profiles) or "no profile at all"
            raise RequestRefused(
                f"no profile is named {name!r} in {self.path}: it has {known}; "
                "`qd profile add` adds one"
            )
        return found

    def switch(self, name: str) -> None:
        """Make a profile the current one."""
        self.find(name)
        document = self._document()
        document["current_profile"] = name
        self._write(document)

    def add(
        self, name: str, endpoint: str, tls: TlsSettings | None, *, replace: bool, switch: bool
    ) -> None:
        """Add a profile and a cluster of its name.

        Parameters
        ----------
        replace : bool
            Whether a profile or cluster of this name may exist; only its endpoint and its TLS
            settings are then changed.
        switch : bool
            Whether it becomes the current one.
        """
        if not name.strip() or len(name) > _NAME_CHARACTERS_MAX or not name.isprintable():
            raise RequestRefused(
                f"a profile cannot be named {name!r}: give 1 to {_NAME_CHARACTERS_MAX} "
                "printable characters"
            )
        document = self._document()
        profile, clusters = _table(document, "profile"), _table(document, "cluster")
        if not replace and (name in profile or name in clusters):
            raise RequestRefused(
                f"a profile or cluster is named {name} already in {self.path}: "
                "give another name, or --replace"
            )
        _table(profile, name)["cluster"] = name
        cluster = _table(clusters, name)
        cluster.pop("addr", None)
        cluster["endpoint"] = endpoint
        cluster.setdefault("use_spu_local_address", False)
        cluster.pop("tls", None)
        cluster["tls"] = _tls_table(tls)
        if switch:
            document["current_profile"] = name
        self._write(document)

    def remove(self, name: str) -> None:
        """Remove a profile, and its cluster unless another profile names it as well."""
        cluster = self.find(name).cluster
        shared = any(p.cluster == cluster and p.name != name for p in self.profiles())
        document = self._document()
        del _table(document, "profile")[name]
        if not shared:
            _table(document, "cluster").pop(cluster, None)
        if document.get("current_profile") == name:
            del document["current_profile"]
        self._write(document)

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise ProfileBroken(f"{self.path} cannot be read: {reason}") from error

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text())
        except tomllib.TOMLDecodeError as error:
            raise self._broken(str(error)) from error

    def _document(self) -> TOMLDocument:
        """The file for editing; a new one where there is none."""
        import tomlkit

        self.profiles()  # proves that the tables are where they belong
        document = tomlkit.parse(self._text())
        if "version" not in document:
            document["version"] = _VERSION
        return document

    def _tables(self, document: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
        found = document.get(name, {})
        if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
            raise self._broken(f"{name} is not a table of tables")
        return found

    def _broken(self, why: str) -> ProfileBroken:
        return ProfileBroken(
            f"{self.path} is not Fluvio's profile file ({why}): correct it, "
            f"or name another with {PATH}"
        )

    def _write(self, document: TOMLDocument) -> None:
        """Replace the file as a whole, so that a reader sees the old or the new one."""
        import tomlkit

        path = self.path.resolve()  # a link stays one
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(document))
                file.flush()
                os.fsync(handle)
            part.replace(path)
        except OSError as error:
            raise ProfileBroken(f"{self.path} cannot be written: {error.strerror}") from error


def _table(parent: Any, name: str) -> Any:
    """The table of this name within another, made if it is missing."""
    import tomlkit

    if name not in parent:
        # One that only holds tables needs no line of its own.
        parent[name] = tomlkit.table(is_super_table=name in ("profile", "cluster"))
    return parent[name]


def _tls_table(tls: TlsSettings | None) -> Any:
    import tomlkit

    table = tomlkit.table()
    if tls is None:
        table["tls_policy"] = _DISABLED[0]
        return table
    table["tls_policy"] = _VERIFIED[0]
    table["tls_source"] = "files"
    certs = tomlkit.table()
    certs.update({"domain": tls.domain, "key": tls.key, "cert": tls.cert, "ca_cert": tls.ca})
    table["certs"] = certs
    return table
