-- TimescaleDB: trades in a hypertable whose chunks are compressed by market in a market's
-- order, bars in continuous aggregates, each made of the next finer one.

ALTER TABLE trade RENAME TO trade_of_version_1;
CREATE TABLE trade (
    market   integer          NOT NULL,
    sequence bigint           NOT NULL,
    time     timestamptz      NOT NULL,
    price    double precision NOT NULL,
    volume   double precision NOT NULL
);
SELECT create_hypertable('trade', by_range('time', interval '90 days'),
                         create_default_indexes => false);
CREATE INDEX trade_order ON trade (market, time, sequence);
ALTER TABLE trade SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'market',
    timescaledb.orderby = 'time, sequence'
);

SET LOCAL timescaledb.enable_direct_compress_insert = on;
INSERT INTO trade SELECT * FROM trade_of_version_1 ORDER BY market, time, sequence;
SET LOCAL timescaledb.enable_direct_compress_insert = off;
DROP TABLE trade_of_version_1;

CREATE MATERIALIZED VIEW bar_1m
WITH (timescaledb.continuous, timescaledb.materialized_only = true,
      timescaledb.chunk_interval = '90 days') AS
SELECT market, time_bucket(interval '1 minute', trade.time) AS time,
       first(price, sequence) AS open, max(price) AS high, min(price) AS low,
       last(price, sequence) AS close, sum(volume ORDER BY trade.time, sequence) AS volume,
       count(*) AS trades, max(sequence) AS last_sequence
FROM trade GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_5m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '5 minutes', bar_1m.time) AS time,
       first(open, bar_1m.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_1m.time) AS close, sum(volume ORDER BY bar_1m.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_1m GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_15m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '15 minutes', bar_5m.time) AS time,
       first(open, bar_5m.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_5m.time) AS close, sum(volume ORDER BY bar_5m.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_5m GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_30m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '30 minutes', bar_15m.time) AS time,
       first(open, bar_15m.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_15m.time) AS close, sum(volume ORDER BY bar_15m.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_15m GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_1h
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '1 hour', bar_30m.time) AS time,
       first(open, bar_30m.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_30m.time) AS close, sum(volume ORDER BY bar_30m.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_30m GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_1d
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '1 day', bar_1h.time) AS time,
       first(open, bar_1h.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_1h.time) AS close, sum(volume ORDER BY bar_1h.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_1h GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_1mo
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '1 month', bar_1d.time) AS time,
       first(open, bar_1d.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_1d.time) AS close, sum(volume ORDER BY bar_1d.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_1d GROUP BY 1, 2 WITH NO DATA;

CREATE MATERIALIZED VIEW bar_1y
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT market, time_bucket(interval '1 year', bar_1mo.time) AS time,
       first(open, bar_1mo.time) AS open, max(high) AS high, min(low) AS low,
       last(close, bar_1mo.time) AS close, sum(volume ORDER BY bar_1mo.time) AS volume,
       sum(trades)::bigint AS trades, max(last_sequence) AS last_sequence
FROM bar_1mo GROUP BY 1, 2 WITH NO DATA;

-- Bars of a day and more are few; finer ones are compressed as they are made.
ALTER MATERIALIZED VIEW bar_1m SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'market', timescaledb.orderby = 'time'
);
ALTER MATERIALIZED VIEW bar_5m SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'market', timescaledb.orderby = 'time'
);
ALTER MATERIALIZED VIEW bar_15m SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'market', timescaledb.orderby = 'time'
);
ALTER MATERIALIZED VIEW bar_30m SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'market', timescaledb.orderby = 'time'
);
ALTER MATERIALIZED VIEW bar_1h SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'market', timescaledb.orderby = 'time'
);
