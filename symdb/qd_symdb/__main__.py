"""``python -m qd_symdb``: the symbol master, with its settings from the environment."""

from __future__ import annotations

import os
import sys

from qd_fluvio.service import run
from qd_schemas.specs import SymdbServiceSettings
from qd_symdb.server import serve


async def _main() -> None:
    await serve(SymdbServiceSettings.from_env(os.environ))


if __name__ == "__main__":
    sys.exit(run("qd_symdb", _main))
