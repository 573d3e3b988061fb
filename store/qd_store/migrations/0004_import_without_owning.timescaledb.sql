-- What an import does to the hypertable itself, so that its role need not own it. It runs as
-- the owner; `qd db roles` says who may call it.

-- Make the chunk that begins at a time in microseconds since the epoch, as a compressed one;
-- false where it is there.
CREATE FUNCTION make_trade_chunk(chunk_start bigint) RETURNS boolean
LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
DECLARE
    width bigint;
    chunk regclass;
BEGIN
    SELECT (extract(epoch FROM time_interval) * 1000000)::bigint INTO STRICT width
    FROM timescaledb_information.dimensions
    WHERE hypertable_schema = current_schema() AND hypertable_name = 'trade';
    IF chunk_start % width <> 0 THEN
        RAISE EXCEPTION 'no chunk begins at %; expected a multiple of %', chunk_start, width;
    END IF;
    SELECT format('%I.%I', schema_name, table_name)::regclass INTO chunk
    FROM _timescaledb_functions.create_chunk(
        'trade', jsonb_build_object('time', jsonb_build_array(chunk_start, chunk_start + width)))
    WHERE created;
    IF chunk IS NULL THEN
        RETURN false;
    END IF;
    PERFORM compress_chunk(chunk);
    RETURN true;
END
$$;

-- What runs as the owner must find the owner's tables and the extension only, whatever its
-- caller has. The path of a migration is that of these schemas.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION make_trade_chunk(bigint) SET search_path TO %s, pg_temp',
        (SELECT string_agg(quote_ident(name), ', ')
         FROM unnest(current_schemas(false)) AS name));
    REVOKE ALL ON FUNCTION make_trade_chunk(bigint) FROM PUBLIC;
END
$$;
