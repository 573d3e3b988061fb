-- PostgreSQL without TimescaleDB: trades partitioned by market, bars in tables that the
-- import fills, in its own transaction.

-- A market's order is (time, sequence). The index on the partitioned table is one on each
-- partition; the old ones, on the sequence alone, go.
DO $$
DECLARE
    old regclass;
BEGIN
    FOR old IN
        SELECT indexrelid FROM pg_index
        WHERE indrelid IN (SELECT relid FROM pg_partition_tree('trade') WHERE isleaf)
    LOOP
        EXECUTE format('DROP INDEX %s', old);
    END LOOP;
END
$$;
CREATE UNIQUE INDEX trade_order ON trade (market, time, sequence);

CREATE TABLE bar_1m (
    market        integer          NOT NULL,
    time          timestamptz      NOT NULL,  -- of the interval's start
    open          double precision NOT NULL,
    high          double precision NOT NULL,
    low           double precision NOT NULL,
    close         double precision NOT NULL,
    volume        double precision NOT NULL,
    trades        bigint           NOT NULL,
    last_sequence bigint           NOT NULL,
    PRIMARY KEY (market, time)
);
CREATE TABLE bar_5m  (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_15m (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_30m (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_1h  (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_1d  (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_1mo (LIKE bar_1m INCLUDING INDEXES);
CREATE TABLE bar_1y  (LIKE bar_1m INCLUDING INDEXES);
