-- Trades that come in small pieces lie in their chunk as rows, beside the compressed ones. What
-- compresses them belongs to the chunk's owner; this runs as the owner, and `qd db roles` says
-- who may call it.

-- Compress the chunk that begins at a time in microseconds since the epoch, if so many of its
-- trades are not; returns how many were not.
CREATE FUNCTION compress_trade_chunk(chunk_start bigint, rows_min bigint) RETURNS bigint
LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
DECLARE
    chunk regclass;
    loose bigint;
BEGIN
    SELECT format('%I.%I', chunk_schema, chunk_name)::regclass INTO chunk
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade'
      AND range_start = 'epoch'::timestamptz + chunk_start * interval '1 microsecond';
    IF chunk IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT count(*) FROM ONLY %s', chunk) INTO loose;
    IF loose >= rows_min THEN
        PERFORM compress_chunk(chunk);
    END IF;
    RETURN loose;
END
$$;

-- What runs as the owner must find the owner's tables and the extension only, whatever its
-- caller has. The path of a migration is that of these schemas.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION compress_trade_chunk(bigint, bigint) SET search_path TO %s, pg_temp',
        (SELECT string_agg(quote_ident(name), ', ')
         FROM unnest(current_schemas(false)) AS name));
    REVOKE ALL ON FUNCTION compress_trade_chunk(bigint, bigint) FROM PUBLIC;
END
$$;
