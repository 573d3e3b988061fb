-- All symbols with their ids, exchange by exchange.
--
--   qd db psql -f store/sql/symbols.sql
--
-- An id is given to a symbol when its first file is imported, and never changes. `market` is
-- the key of the symbol's rows in the tables: exchange_id * 65536 + symbol_id.

SELECT exchange.name AS exchange, exchange_id, symbol, symbol_id, market
FROM symbol JOIN exchange USING (exchange_id)
ORDER BY exchange_id, symbol_id;
