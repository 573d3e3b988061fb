-- Exchanges, their symbols, the trades of each market, and the files they came from.

CREATE TABLE exchange (
    exchange_id smallint PRIMARY KEY CHECK (exchange_id BETWEEN 1 AND 254),  -- u8, 255 is SBE's null
    name        text     NOT NULL UNIQUE
);

INSERT INTO exchange (exchange_id, name) VALUES (1, 'kraken');

-- A market is a symbol on an exchange; `market` is its one number, the key of all its rows.
CREATE TABLE symbol (
    exchange_id smallint    NOT NULL REFERENCES exchange,
    symbol_id   integer     NOT NULL CHECK (symbol_id BETWEEN 1 AND 65534),  -- u16, 65535 is SBE's null
    symbol      text        NOT NULL,
    market      integer     GENERATED ALWAYS AS (exchange_id * 65536 + symbol_id) STORED UNIQUE,
    trades      bigint      NOT NULL DEFAULT 0 CHECK (trades >= 0),  -- also the last sequence
    first_time  timestamptz,
    last_time   timestamptz,
    PRIMARY KEY (exchange_id, symbol_id),
    UNIQUE (exchange_id, symbol)
);

-- One partition a market, made by its first import. Within a market `sequence` runs from 1
-- without a gap, and `time` never falls.
CREATE TABLE trade (
    market   integer          NOT NULL,
    sequence bigint           NOT NULL,
    time     timestamptz      NOT NULL,
    price    double precision NOT NULL,
    volume   double precision NOT NULL
) PARTITION BY LIST (market);

-- What has been imported, by the SHA-256 of the (unpacked) file.
CREATE TABLE import_file (
    market         integer     NOT NULL,
    digest         bytea       NOT NULL,
    name           text        NOT NULL,
    rows           bigint      NOT NULL,   -- trades it added
    rejected       bigint      NOT NULL,
    first_sequence bigint,                 -- of the trades it added; null where none
    imported_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (market, digest)
);

-- The first sequence of a market whose trade is not before a time; one past the last where
-- all are. Times never fall, so a search by halves needs the sequence index only. The query
-- is built anew each time, so that its plan touches one partition.
CREATE FUNCTION trade_sequence_at(wanted_market integer, wanted_time timestamptz)
RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    low    bigint := 1;
    high   bigint;
    middle bigint;
    found  timestamptz;
BEGIN
    SELECT trades + 1 INTO high FROM symbol WHERE market = wanted_market;
    WHILE low < high LOOP
        middle := low + (high - low) / 2;
        EXECUTE format('SELECT time FROM trade WHERE market = %s AND sequence = %s',
                       wanted_market, middle) INTO STRICT found;
        IF found < wanted_time THEN
            low := middle + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
