"""Scripts that use the official client library, run in processes of their own.

The library holds Python's lock while it waits and may wait for ever.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT_SECONDS_MAX = 100.0
# Without it the library's own calls can wait for each other for ever.
ENVIRONMENT = {**os.environ, "ASYNC_STD_THREAD_COUNT": "32"}


def run_script(script: Path, *arguments: str) -> Any:
    """What the script printed last, as JSON."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])
