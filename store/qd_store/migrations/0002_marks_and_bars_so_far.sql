-- Marks, which turn sequences into times, and how far each market's bars are stored.

-- All stored bars of a market are complete up to the trade `bars_sequence`, whose time is
-- `bars_time`. Where it is less than `trades`, only bars whose interval ends by `bars_time`
-- are final; a reader makes the others of these and of the trades since.
ALTER TABLE symbol
    ADD COLUMN bars_sequence bigint NOT NULL DEFAULT 0,
    ADD COLUMN bars_time     timestamptz,
    ADD CONSTRAINT symbol_bars_sequence_check CHECK (bars_sequence BETWEEN 0 AND trades);

-- The times of the trades 1, 8193, 16385, ... of each market. Times never fall with sequence,
-- so a range of sequences lies between the times of the marks around it.
CREATE TABLE trade_mark (
    market   integer     NOT NULL,
    sequence bigint      NOT NULL,
    time     timestamptz NOT NULL,
    PRIMARY KEY (market, sequence)
);

INSERT INTO trade_mark
SELECT market, sequence, time FROM trade WHERE sequence % 8192 = 1;

-- A sum of negative zeros has a sign that depends on where it starts.
UPDATE trade SET volume = 0 WHERE volume = 0 AND volume::text = '-0';

-- Times are found by the index that the next migration makes.
DROP FUNCTION trade_sequence_at;
