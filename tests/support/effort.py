"""How much is tried: enough for every change, or with QD_THOROUGH=1 all that there is."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
THOROUGH = bool(os.environ.get("QD_THOROUGH"))


def tried(always: T, thoroughly: T) -> T:
    """What is tried always; or what is tried where there is time."""
    return thoroughly if THOROUGH else always
