"""Variables that begin like settings and are none: misspelt ones, most likely.

An environment may hold what others put there, so these are told and never refused, as a wrong
name in the file is. Kubernetes, for one, gives the pods beside a service called ``qd-symdb``
variables such as QD_SYMDB_PORT, which are passed over. Values are not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qd_schemas.settings.file import NEAR, nearest
from qd_schemas.settings.table import BY_NAME, OTHER_NAMES, SETTINGS

LIKENESS_MIN: Final = 0.8
"""How like a known name one must be to be taken for it, from 0 to 1."""
_PREFIX: Final = "QD_"
_OF_KUBERNETES: Final = re.compile(r"QD_\w+(_SERVICE_(HOST|PORT\w*)|_PORT(_\d+_(TCP|UDP)\w*)?)")
_KNOWN: Final[Mapping[str, str]] = {
    # A key of the file in capitals is a guess that many make.
    **{_PREFIX + each.key.replace(".", "_").upper(): each.name for each in SETTINGS},
    **{name: name for name in OTHER_NAMES},
    **{name: name for name in BY_NAME},
}


def strays(env: Mapping[str, str], likeness_min: float = LIKENESS_MIN) -> list[str]:
    """Say of each such variable that it is no setting, and which one may be meant.

    Parameters
    ----------
    likeness_min : float
        What is less like a known name is left out; 0 leaves out nothing.
    """
    found = []
    for name in sorted(env):
        stem = name.removesuffix("_FILE")
        is_known = name in BY_NAME or name in OTHER_NAMES or stem in OTHER_NAMES
        if is_known or not name.startswith(_PREFIX) or _OF_KUBERNETES.fullmatch(name):
            continue
        near = _KNOWN.get(nearest(name, _KNOWN, likeness_min or NEAR))
        if near or not likeness_min:
            hint = f"; did you mean {near}?" if near else ""
            found.append(f"{name} is set, but no setting has this name{hint}")
    return found
