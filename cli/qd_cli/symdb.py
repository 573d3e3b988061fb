"""Making a client of the symbol master from an endpoint."""

from __future__ import annotations

from qd_client import SymdbClient
from qd_schemas.specs import SymdbSettings


def symdb_client(endpoint: str) -> SymdbClient:
    """Make a client of the symbol master at ``host:port``."""
    where = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    return SymdbClient(where.host, where.port)
