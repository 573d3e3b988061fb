-- The volume-weighted average price (VWAP) of a market by days (UTC).
--
--   qd db psql -f store/sql/vwap.sql -v symbol=XBTEUR -v from=2013-01-01 -v to=2013-02-01
--
-- symbol     the market (XBTUSD)
-- exchange   its exchange (kraken)
-- from, to   days, from the first on and before the second (all of them)
--
-- VWAP = sum(price * volume) / sum(volume), over the trades of the day; a day on which only trades
-- of volume zero were made has none. Reads every trade between the times.

\if :{?symbol} \else \set symbol XBTUSD \endif
\if :{?exchange} \else \set exchange kraken \endif
\if :{?from} \else \set from -infinity \endif
\if :{?to} \else \set to infinity \endif

SELECT (trade.time AT TIME ZONE 'UTC')::date AS day,
       sum(price * volume ORDER BY trade.time, sequence)
           / nullif(sum(volume ORDER BY trade.time, sequence), 0) AS vwap,
       sum(volume ORDER BY trade.time, sequence) AS volume,
       count(*) AS trades
FROM trade
WHERE market = (SELECT market FROM symbol JOIN exchange USING (exchange_id)
                WHERE symbol = :'symbol' AND exchange.name = :'exchange')
  AND trade.time >= :'from'::timestamp AT TIME ZONE 'UTC'
  AND trade.time < :'to'::timestamp AT TIME ZONE 'UTC'
GROUP BY day
ORDER BY day;
