"""``python -m qd_gateway``: the gateway service, with its settings from the environment."""

from __future__ import annotations

import os
import sys

from qd_fluvio.service import run
from qd_gateway.gateway import Gateway
from qd_schemas.specs import GatewaySettings


async def _main() -> None:
    await Gateway(GatewaySettings.from_env(os.environ)).run()


if __name__ == "__main__":
    sys.exit(run("qd_gateway", _main))
