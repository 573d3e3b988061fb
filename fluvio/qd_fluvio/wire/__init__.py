"""Fluvio's wire protocol: bytes to messages and back, with no sockets, clocks or asyncio.

Read in this order: `codec` (how a field becomes bytes), `frames` (lengths and headers),
`failures` (error codes), `metadata`, `admin` (the SC's calls), `data` (the SPU's calls),
`smartmodules`, `records` (batches). Bad bytes raise `qd_fluvio.errors.WireError` and nothing else.
"""
