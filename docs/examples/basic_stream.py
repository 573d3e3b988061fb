"""Stream a market's trades and its monthly bars: ``python basic_stream.py [SYMBOL]``.

It connects to QD_FLUVIO and QD_SYMDB, or to the stack that ``qd up`` started.
"""

import asyncio
import sys

from qd_client import QDClient, to_pandas


async def main(symbol: str) -> None:
    """Print what the streams give."""
    async with QDClient() as qd:
        count, volume = 0, 0.0
        async for trades in qd.trades(symbol):  # arrays: sequence, time, price, volume
            count += len(trades)
            volume += trades["volume"].sum()
        print(f"{symbol}: {count} trades, volume {volume:.3f}")

        async for bars in qd.bars(symbol, "1M"):  # arrays: time, open, high, low, close, volume
            print(to_pandas(bars).tail(3).to_string(index=False))

        async for trade in qd.trade_messages(symbol, first_sequence=count):  # one by one
            print(f"the last one: {trade}")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "XBTEUR"))
