"""The native client: asyncio on `qd_fluvio.wire`, in this process and this event loop.

It stands behind `qd_fluvio.api` like the official one. Read in the order link, links, lane,
producer, stream, consumer, connection; what needs no socket is in `wire` and `opening`.
"""
