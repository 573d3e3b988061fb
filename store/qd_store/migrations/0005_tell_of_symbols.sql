-- Whoever listens on `qd_symbol` is told of each market that was added, changed or removed, by
-- its number, once the transaction has ended; of "all" where that is simpler.

CREATE FUNCTION tell_of_symbol() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('qd_symbol', coalesce(NEW.market, OLD.market)::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION tell_of_symbols() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('qd_symbol', 'all');
    RETURN NULL;
END
$$;

-- Not of bars that were stored, which change nothing that a listener knows.
CREATE TRIGGER symbol_told
    AFTER INSERT OR DELETE OR UPDATE OF exchange_id, symbol_id, symbol, trades, first_time, last_time
    ON symbol FOR EACH ROW EXECUTE FUNCTION tell_of_symbol();
CREATE TRIGGER symbols_told
    AFTER TRUNCATE ON symbol FOR EACH STATEMENT EXECUTE FUNCTION tell_of_symbols();
CREATE TRIGGER exchanges_told
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON exchange
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_symbols();
