"""The systems that the documents' programs run on."""

from e2e.conftest import system
from support.gateways import client_id, gateway, markets, start_gateway

__all__ = ["client_id", "gateway", "markets", "start_gateway", "system"]
