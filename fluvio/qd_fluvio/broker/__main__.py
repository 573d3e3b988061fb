"""`python -m qd_fluvio.broker`: run the local broker as a service process."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qd_fluvio import service
from qd_fluvio.broker.server import Endpoints, serve
from qd_fluvio.broker.settings import (
    FAULTS_HELP,
    BrokerSettings,
    ConnectionLimits,
    Durability,
    TlsFiles,
    parse_faults,
)
from qd_schemas.errors import SettingError
from qd_schemas.settings.given import Given
from qd_schemas.settings.table import BROKER_METRICS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qd_fluvio.broker", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder for topics and records")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--advertise", default="", help="host told to clients; default: --host")
    parser.add_argument("--sc-port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--spu-port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument(
        "--durability",
        choices=[kind.value for kind in Durability],
        default=Durability.PROCESS.value,
        help="what an acknowledged record survives: the broker's death, or the machine's too",
    )
    parser.add_argument(
        "--faults",
        action="append",
        default=[],
        metavar="FAULT",
        help=f"misbehave as a real cluster can; may be given again: {FAULTS_HELP}",
    )
    _add_tls(parser)
    _add_limits(parser)
    return parser


def _add_tls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="speak TLS with this PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--tls-client-ca",
        type=Path,
        metavar="FILE",
        help="serve only clients whose certificate these sign",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = ConnectionLimits()
    parser.add_argument(
        "--connections-max",
        type=int,
        default=limits.connections_max,
        metavar="COUNT",
        help="open connections to both ports (default: %(default)s)",
    )
    parser.add_argument(
        "--memory-max",
        type=int,
        default=limits.memory_bytes_max,
        metavar="BYTES",
        help="memory for requests and answers of all connections (default: %(default)s)",
    )


def _tls_files(arguments: argparse.Namespace) -> TlsFiles | None:
    cert, key, client_ca = arguments.tls_cert, arguments.tls_key, arguments.tls_client_ca
    if cert is None and key is None and client_ca is None:
        return None
    if cert is None or key is None:
        missing = "--tls-cert" if cert is None else "--tls-key"
        raise SettingError(f"found TLS settings without {missing}: give a certificate and its key")
    return TlsFiles(cert, key, client_ca)


def _settings(arguments: argparse.Namespace) -> BrokerSettings:
    return BrokerSettings(
        data=arguments.data,
        host=arguments.host,
        advertise=arguments.advertise,
        sc_port=arguments.sc_port,
        spu_port=arguments.spu_port,
        durability=Durability(arguments.durability),
        faults=parse_faults(arguments.faults),
        tls=_tls_files(arguments),
        limits=ConnectionLimits(arguments.connections_max, arguments.memory_max),
        metrics=Given.of(os.environ).find(BROKER_METRICS),
    )


def _started(endpoints: Endpoints) -> None:
    service.ready(endpoint=endpoints.sc, spu=endpoints.spu, metrics=endpoints.metrics)


def settings_of(arguments: Sequence[str]) -> BrokerSettings:
    """What these command-line arguments say; ends the process where they make no sense."""
    parser = _parser()
    try:
        return _settings(parser.parse_args(arguments))
    except SettingError as error:
        parser.error(str(error))


def main() -> int:
    """Run the broker; gives the process's exit code."""
    settings = settings_of(sys.argv[1:])
    return service.run("broker", lambda: serve(settings, _started))


if __name__ == "__main__":
    sys.exit(main())
