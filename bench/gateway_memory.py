"""Peak memory of the gateway and its helpers against the number of streams and their length.

All streams of a measurement run at once, each measurement with a gateway of its own.
"""

from __future__ import annotations

from bench.end_to_end import family
from bench.fluvio_sides import Side, side
from bench.gateway_bed import Bed, Cluster
from bench.memory import forget_peak, peak_bytes
from bench.report import Row, compared, show

STREAMS = (1, 10, 100)
STREAMS_OF_A_CLIENT_MAX = 10
LENGTHS = (1, 4)
MARKET = "LONG"
FIRST_ROWS = 1_000


async def memory(bed: Bed, counts: list[int], trades: int) -> None:
    """Measure and show; the longest stream has `trades` trades, the others a part of them."""
    for cluster in bed.clusters:
        rows: list[Row] = []
        for count in counts:
            first: Row | None = None
            for length in LENGTHS:
                each = max(1, trades * length // max(LENGTHS) // count - 1)
                peak = await _peak(bed, cluster, count, each)
                row = Row(f"{count} stream{'s' * (count > 1)} x {each:,}", peak, "bytes")
                if rows:
                    row = compared(row.name, peak, "bytes", first or rows[0])
                rows.append(row)
                first = first or row
        show(f"Gateway: peak memory, {cluster.name}", rows)


async def _peak(bed: Bed, cluster: Cluster, count: int, each: int) -> int:
    streams = min(count, STREAMS_OF_A_CLIENT_MAX)
    async with (
        bed.gateway(cluster) as gateway,
        side("clients", "bench.gateway_side", cluster.endpoint, "native") as clients,
    ):
        await _told(clients, "open", count=-(-count // streams))
        symbol = bed.markets[MARKET]
        end = bed.end_after(MARKET, FIRST_ROWS)
        await _told(clients, "replay", symbol=symbol, end=end)  # loads what all need
        for process in family(gateway):
            forget_peak(process.pid)
        end = bed.end_after(MARKET, each)
        await _told(clients, "replay", symbol=symbol, end=end, streams=streams)
        peak = sum(peak_bytes(process.pid) for process in family(gateway))
        await _told(clients, "close")
    return peak


async def _told(clients: Side, do: str, **arguments: object) -> None:
    clients.tell(do, **arguments)
    await clients.answer()
