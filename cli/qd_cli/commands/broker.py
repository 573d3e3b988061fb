"""``qd broker``: a local Fluvio broker in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qd_cli import console
from qd_cli.errors import RequestRefused
from qd_cli.interrupts import run
from qd_cli.options import Json, State
from qd_cli.targets import state_folder
from qd_schemas.settings.given import Given
from qd_schemas.settings.table import BROKER_METRICS

if TYPE_CHECKING:
    from qd_fluvio.broker.server import Endpoints
    from qd_fluvio.broker.settings import BrokerSettings, ConnectionLimits, TlsFiles

PORT = 9003
"""Where Fluvio's own SC listens."""
SPU_PORT = 9010
_PORT_MAX = 65_535
_FILE: dict[str, Any] = {"metavar": "FILE", "exists": True, "dir_okay": False}

Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Topics and records (default: in the state folder)."),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")]
Port = Annotated[
    int,
    typer.Option(
        "--port", min=0, max=_PORT_MAX, metavar="PORT", help="Clients' port; 0: a free one."
    ),
]
SpuPort = Annotated[
    int,
    typer.Option(min=0, max=_PORT_MAX, metavar="PORT", help="The records' port; 0: a free one."),
]
Advertise = Annotated[
    str, typer.Option(metavar="HOST", help="The host that clients are told (default: --host).")
]
DurabilityKind = Annotated[
    str,
    typer.Option(
        metavar="KIND", help="What acknowledged records survive: process (kill -9) or power."
    ),
]
TlsCert = Annotated[Path | None, typer.Option(help="Speak TLS with this PEM.", **_FILE)]
TlsKey = Annotated[Path | None, typer.Option(help="The certificate's key.", **_FILE)]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(help="Serve only clients whose certificate these sign.", **_FILE),
]
ConnectionsMax = Annotated[
    int | None,
    typer.Option(min=1, metavar="COUNT", help="Open connections to both ports (default: 2048)."),
]
MemoryMax = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="BYTES", help="Memory for requests and answers (default: 536870912)."
    ),
]
FaultTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--faults",
        metavar="FAULT",
        help="Misbehave as a real cluster can, for tests; several times for several: "
        "cut-batches, delay=SECONDS, drop-after=BYTES, late-topics=SECONDS, "
        "restart-after=BYTES, restart-after=SECONDSs.",
    ),
]


def broker(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = PORT,
    spu_port: SpuPort = SPU_PORT,
    advertise: Advertise = "",
    durability: DurabilityKind = "process",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    connections_max: ConnectionsMax = None,
    memory_max: MemoryMax = None,
    faults: FaultTexts = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Run a local Fluvio broker until Ctrl-C; any Fluvio client can use it.

    Its topics stay in its data folder. `qd up` runs one of its own. QD_BROKER_METRICS says
    where it serves metrics and health over HTTP.

    \b
    Examples:
      qd broker
      qd broker --port 0 --data /tmp/broker
      qd broker --durability power --host 0.0.0.0 --advertise broker.example
      qd broker --tls-cert server.pem --tls-key server.key --tls-client-ca ca.pem
      qd broker --faults cut-batches --faults drop-after=1000000
    """
    from qd_fluvio import service
    from qd_fluvio.broker.server import serve
    from qd_fluvio.broker.settings import BrokerSettings, parse_faults
    from qd_fluvio.logs import configure_logging
    from qd_schemas.specs import LogSettings

    settings = BrokerSettings(
        data=(data or state_folder(state).data("broker")).expanduser(),
        host=host,
        advertise=advertise,
        sc_port=port,
        spu_port=spu_port,
        durability=_durability(durability),
        faults=parse_faults(faults or ()),
        tls=_tls(tls_cert, tls_key, tls_client_ca),
        limits=_limits(connections_max, memory_max),
        metrics=Given(os.environ).find(BROKER_METRICS),
    )

    def started(endpoints: Endpoints) -> None:
        service.ready(endpoint=endpoints.sc, spu=endpoints.spu, metrics=endpoints.metrics)
        _tell(endpoints, settings, json=json)

    configure_logging("broker", LogSettings.from_env(os.environ))
    run(lambda _: serve(settings, started))


def _durability(text: str) -> Any:
    from qd_fluvio.broker.settings import Durability

    known = [kind.value for kind in Durability]
    if text not in known:
        raise RequestRefused(f"--durability is {text!r}; expected {' or '.join(known)}")
    return Durability(text)


def _limits(connections: int | None, memory: int | None) -> ConnectionLimits:
    from qd_fluvio.broker.settings import ConnectionLimits

    usual = ConnectionLimits()
    return ConnectionLimits(
        connections_max=usual.connections_max if connections is None else connections,
        memory_bytes_max=usual.memory_bytes_max if memory is None else memory,
    )


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    from qd_fluvio.broker.settings import TlsFiles

    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        missing = "--tls-cert" if cert is None else "--tls-key"
        raise RequestRefused(f"TLS without {missing}: give a certificate and its key")
    return TlsFiles(cert, key, client_ca)


def _tell(endpoints: Endpoints, settings: BrokerSettings, *, json: bool) -> None:
    if json:
        console.print_json(
            {
                "event": "ready",
                "endpoint": endpoints.sc,
                "spu": endpoints.spu,
                "data": str(settings.data),
                "tls": settings.tls is not None,
                "metrics": endpoints.metrics,
            }
        )
        return
    console.say(f"broker at {endpoints.sc}, its data in {settings.data}; Ctrl-C stops it")
    if settings.tls is None:
        console.say(f"use it:       QD_FLUVIO={endpoints.sc} qd topics list")
    else:
        console.say(
            f"use it:       QD_FLUVIO={endpoints.sc} QD_FLUVIO_TLS_CA=ca.pem qd topics list"
        )
    console.say(f"for Fluvio:   qd profile add local {endpoints.sc}")
    if endpoints.metrics:
        console.say(f"metrics:      http://{endpoints.metrics}/metrics")


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel="Fluvio")(broker)
