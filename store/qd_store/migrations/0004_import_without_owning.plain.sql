-- What an import does to the tables themselves, so that its role need not own them. Both run
-- as the owner; `qd db roles` says who may call them.

-- Make a new market's table, not yet a partition. Whoever calls may fill it, and reads it
-- through `trade` alone.
CREATE FUNCTION make_trade_table(wanted_market integer) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
DECLARE
    name text := format('trade_%s_%s', wanted_market / 65536, wanted_market % 65536);
BEGIN
    -- The check spares `attach_trade_table` a scan.
    EXECUTE format('CREATE TABLE %I (LIKE trade, CONSTRAINT one CHECK (market = %s))',
                   name, wanted_market);
    EXECUTE format('GRANT INSERT ON %I TO %I', name, session_user);
END
$$;

-- Index that table and make it a partition.
CREATE FUNCTION attach_trade_table(wanted_market integer) RETURNS void
LANGUAGE plpgsql STRICT SECURITY DEFINER AS $$
DECLARE
    name text := format('trade_%s_%s', wanted_market / 65536, wanted_market % 65536);
BEGIN
    EXECUTE format('CREATE UNIQUE INDEX ON %I (market, time, sequence)', name);
    EXECUTE format('ANALYZE %I', name);
    EXECUTE format('ALTER TABLE trade ATTACH PARTITION %I FOR VALUES IN (%s)',
                   name, wanted_market);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT one', name);
END
$$;

-- What runs as the owner must find the owner's tables only, whatever its caller has.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY ARRAY['make_trade_table(integer)', 'attach_trade_table(integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path TO %I, pg_temp',
                       function, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
END
$$;
