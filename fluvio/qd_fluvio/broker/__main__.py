"""`python -m qd_fluvio.broker`: run the local broker as a service process."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qd_fluvio import service
from qd_fluvio.broker.server import Endpoints, serve
from qd_fluvio.broker.settings import BrokerSettings, Durability, parse_faults
from qd_schemas.errors import SettingError


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
        help="misbehave: cut-batches, drop-after=BYTES, late-topics=SECONDS",
    )
    return parser


def _settings(arguments: argparse.Namespace) -> BrokerSettings:
    return BrokerSettings(
        data=arguments.data,
        host=arguments.host,
        advertise=arguments.advertise,
        sc_port=arguments.sc_port,
        spu_port=arguments.spu_port,
        durability=Durability(arguments.durability),
        faults=parse_faults(arguments.faults),
    )


def _started(endpoints: Endpoints) -> None:
    service.ready(endpoint=endpoints.sc, spu=endpoints.spu)


def main() -> int:
    """Run the broker; gives the process's exit code."""
    parser = _parser()
    try:
        settings = _settings(parser.parse_args())
    except SettingError as error:
        parser.error(str(error))
    return service.run("broker", lambda: serve(settings, _started))


if __name__ == "__main__":
    sys.exit(main())
