"""How a worker reaches the cluster: the settings of a connection, as its frames carry them.

Pure: values in, values out. The worker trusts its parent, so everything is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass

from qd_fluvio.control import Bounds
from qd_fluvio.errors import TlsFailed
from qd_fluvio.tls import is_address, server_name
from qd_schemas.errors import SettingError
from qd_schemas.specs import FluvioSettings, SpuAddress


@dataclass(frozen=True, slots=True)
class Reach:
    """What workers must know of a cluster.

    Parameters
    ----------
    cluster : FluvioSettings
        The settings of the connection.

    Raises
    ------
    SettingError
        The client cannot do what is asked of it.
    TlsFailed
        The client could not connect, or would without making sure of the cluster: it verifies
        the cluster's certificate only when it has one itself.
    """

    cluster: FluvioSettings

    def __post_init__(self) -> None:
        if self.cluster.addresses:
            raise SettingError(
                "QD_FLUVIO_ADDRESSES is set, but the official client takes the cluster's addresses "
                "as they are: set QD_FLUVIO_CLIENT=native"
            )
        tls = self.cluster.tls
        if tls is None:
            return
        if not tls.cert:
            raise TlsFailed(
                "QD_FLUVIO_TLS_CA is set without QD_FLUVIO_TLS_CERT and QD_FLUVIO_TLS_KEY: the "
                "official client verifies a cluster only when it has a certificate itself. Give it "
                "any, where the cluster asks for none, or set QD_FLUVIO_CLIENT=native"
            )
        domain = server_name(tls, self.cluster.endpoint)
        if is_address(domain):
            raise TlsFailed(
                f"the cluster's certificates would have to be for {domain}, an address: the "
                "official client puts an SPU's name in front of it. Set QD_FLUVIO_TLS_DOMAIN to a "
                "name, or QD_FLUVIO_CLIENT=native"
            )

    def fields(self) -> dict[str, object]:
        """The cluster, as each call to a worker names it."""
        inside = self.cluster.spu_address is SpuAddress.LOCAL
        return {
            "endpoint": self.cluster.endpoint,
            "tls": self._tls("domain"),
            "inside": inside,
        }

    def ends(self, bounds: Bounds) -> dict[str, object]:
        """How a worker asks a partition's leader where it ends; see `worker.ends`."""
        return {
            "leader": bounds.leader.host_port,
            "question": bounds.question.hex(),
            "tls": self._tls("name", bounds.leader.spu),
        }

    def _tls(self, label: str, spu: str = "") -> dict[str, str] | None:
        tls = self.cluster.tls
        if tls is None:
            return None
        name = server_name(tls, self.cluster.endpoint, spu)
        return {label: name, "ca": tls.ca, "cert": tls.cert, "key": tls.key}
