"""The gateway service: sessions, and streams of market data out of the store."""
