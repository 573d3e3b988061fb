-- A market's days (UTC) with the most volume.
--
--   qd db psql -f store/sql/best_volume_days.sql -v symbol=XBTEUR
--   qd db psql -f store/sql/best_volume_days.sql -v symbol=XBTEUR -v limit=3
--
-- symbol     the market (XBTUSD)
-- exchange   its exchange (kraken)
-- limit      how many days (10)
--
-- Reads the stored daily bars, not the trades.

\if :{?symbol} \else \set symbol XBTUSD \endif
\if :{?exchange} \else \set exchange kraken \endif
\if :{?limit} \else \set limit 10 \endif

SELECT (bar_1d.time AT TIME ZONE 'UTC')::date AS day, volume, bar_1d.trades, low, high
FROM bar_1d
JOIN symbol USING (market)
JOIN exchange USING (exchange_id)
WHERE symbol = :'symbol' AND exchange.name = :'exchange'
ORDER BY volume DESC, bar_1d.time
LIMIT :limit;
