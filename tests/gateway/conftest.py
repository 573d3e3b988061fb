"""A real gateway for these tests."""

from support.gateways import client_id, gateway, markets, other_id, start_gateway

__all__ = ["client_id", "gateway", "markets", "other_id", "start_gateway"]
