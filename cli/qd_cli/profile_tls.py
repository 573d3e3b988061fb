"""A profile's TLS settings as those that qd connects with.

Certificates that a profile holds itself are written to a folder of this process's own, which
is removed when the process ends: both clients read certificates from files.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qd_cli.errors import ProfileBroken, RequestRefused
from qd_cli.profiles import Profile

if TYPE_CHECKING:
    from qd_schemas.specs import TlsSettings

_SOURCES = {"files": "files", "file": "files", "inline": "inline"}
_CERTS = ("domain", "key", "cert", "ca_cert")


def tls_of(profile: Profile) -> TlsSettings | None:
    """Return the TLS settings of a profile's cluster; None where it uses none.

    Raises
    ------
    RequestRefused
        It accepts any certificate, which qd never does.
    ProfileBroken
        The settings are incomplete.
    """
    from qd_schemas.specs import TlsSettings

    if profile.tls_policy == "disabled":
        return None
    if profile.tls_policy == "anonymous":
        raise RequestRefused(
            f"profile {profile.name} accepts any certificate (tls_policy anonymous), which qd does "
            "not: name the cluster with --fluvio and its certificates with QD_FLUVIO_TLS_CA"
        )
    source = _SOURCES.get(str(profile.tls.get("tls_source", "")))
    certs = profile.tls.get("certs", {})
    if profile.tls_policy != "verified" or source is None or not _are_texts(certs):
        raise ProfileBroken(
            f"the TLS settings of profile {profile.name} make no sense: expected tls_policy "
            f"verified, tls_source files or inline, and certs with {', '.join(_CERTS)}"
        )
    chosen = certs if source == "files" else _written(certs)
    return TlsSettings(
        ca=chosen["ca_cert"], domain=certs["domain"], cert=chosen["cert"], key=chosen["key"]
    )


def _are_texts(certs: Any) -> bool:
    return isinstance(certs, Mapping) and all(isinstance(certs.get(name), str) for name in _CERTS)


def _written(certs: Mapping[str, str]) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp(prefix="qd-tls-"))  # readable by its owner only
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = {}
    for name in _CERTS[1:]:
        path = folder / f"{name}.pem"
        path.write_text(certs[name])
        paths[name] = str(path)
    return paths
