"""``python -m qd_cli``: the same as ``qd``."""

from __future__ import annotations

import sys

from qd_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
