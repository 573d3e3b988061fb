"""Ask the symbol master which markets there are: ``python symbol_master.py [PREFIX]``."""

import sys
from datetime import UTC, datetime

from qd_client import SymbolNotFound, SyncSymdbClient
from qd_schemas.enums import ExchangeId


def day(time_us: int | None) -> str:
    """The date of a time in microseconds."""
    return "-" if time_us is None else f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d}"


with SyncSymdbClient() as symdb:
    for exchange in symdb.exchanges():
        print(f"{exchange.name}: {exchange.symbols} symbols, {exchange.trades} trades")

    for market in symdb.search(sys.argv[1] if len(sys.argv) > 1 else "XBT"):
        span = f"{day(market.first_time)} to {day(market.last_time)}"
        print(f"{market.symbol_id:5} {market.symbol:10} {market.trades:>10} trades {span}")

    bitcoin = symdb.id_by_symbol(ExchangeId.KRAKEN, "XBT/EUR")  # or XXBTZEUR, or BTC/EUR
    print(f"XBT/EUR is {bitcoin.symbol}, symbol id {bitcoin.symbol_id}")

    try:
        symdb.id_by_symbol(ExchangeId.KRAKEN, "NOSUCH")
    except SymbolNotFound as error:
        print(f"refused: {error}")
