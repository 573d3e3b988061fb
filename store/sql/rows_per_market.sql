-- How many trades each market has, from when to when (UTC), and their share of all.
--
--   qd db psql -f store/sql/rows_per_market.sql
--
-- The counts are kept by the import, so nothing is counted here; `qd db check` counts.

SELECT exchange.name AS exchange, symbol, trades,
       first_time AT TIME ZONE 'UTC' AS first, last_time AT TIME ZONE 'UTC' AS last,
       round(100.0 * trades / nullif(sum(trades) OVER (), 0), 3) AS percent
FROM symbol JOIN exchange USING (exchange_id)
ORDER BY exchange_id, symbol;
