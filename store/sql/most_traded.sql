-- The markets with the most trades.
--
--   qd db psql -f store/sql/most_traded.sql
--   qd db psql -f store/sql/most_traded.sql -v limit=50
--
-- limit   how many markets (10)

\if :{?limit} \else \set limit 10 \endif

SELECT exchange.name AS exchange, symbol, trades
FROM symbol JOIN exchange USING (exchange_id)
WHERE trades > 0
ORDER BY trades DESC, exchange_id, symbol
LIMIT :limit;
