-- A market's trades from one time on and before another, in order.
--
--   qd db psql -f store/sql/trades_between.sql -v symbol=XBTEUR -v from=2013-01-01 -v to=2013-01-02
--
-- symbol     the market (XBTUSD)
-- exchange   its exchange (kraken)
-- from, to   times in UTC, such as 2013-01-31 or '2013-01-31 12:30' (all of them)
--
-- Reads by the index (market, time, sequence), so a short time of a long history is quick.

\if :{?symbol} \else \set symbol XBTUSD \endif
\if :{?exchange} \else \set exchange kraken \endif
\if :{?from} \else \set from -infinity \endif
\if :{?to} \else \set to infinity \endif

SELECT sequence, trade.time AT TIME ZONE 'UTC' AS time, price, volume
FROM trade
WHERE market = (SELECT market FROM symbol JOIN exchange USING (exchange_id)
                WHERE symbol = :'symbol' AND exchange.name = :'exchange')
  AND trade.time >= :'from'::timestamp AT TIME ZONE 'UTC'
  AND trade.time < :'to'::timestamp AT TIME ZONE 'UTC'
ORDER BY trade.time, sequence;
