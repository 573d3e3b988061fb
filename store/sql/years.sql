-- A market by years (UTC), made of its monthly bars: resampling, as any coarser interval can be.
--
--   qd db psql -f store/sql/years.sql -v symbol=XBTEUR
--
-- symbol     the market (XBTUSD)
-- exchange   its exchange (kraken)
--
-- For another interval change the word 'year', and the table to finer bars. Volumes are added in
-- time order, so that these bars equal those of the table bar_1y to the last bit.

\if :{?symbol} \else \set symbol XBTUSD \endif
\if :{?exchange} \else \set exchange kraken \endif

SELECT extract(year FROM bar.time AT TIME ZONE 'UTC')::int AS year,
       (array_agg(open ORDER BY bar.time))[1] AS open,
       max(high) AS high,
       min(low) AS low,
       (array_agg(close ORDER BY bar.time DESC))[1] AS close,
       sum(volume ORDER BY bar.time) AS volume,
       sum(bar.trades)::bigint AS trades
FROM bar_1mo AS bar
JOIN symbol USING (market)
JOIN exchange USING (exchange_id)
WHERE symbol = :'symbol' AND exchange.name = :'exchange'
GROUP BY year
ORDER BY year;
