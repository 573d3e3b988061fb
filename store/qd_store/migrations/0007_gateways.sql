-- What gateways keep beyond their own lives: who of them serves which clients, who is logged in
-- with which streams, who must prove who it is, and what operators ask for. Gateways of one
-- cluster are a group; several groups may share a database. Leases run by the database's clock.

-- One row for each gateway that runs. A new process of the same name takes the row over.
CREATE TABLE gateway_member (
    gateway_group text        NOT NULL,
    name          text        NOT NULL,
    incarnation   bigint      NOT NULL,  -- of the process, at random
    joined_at     timestamptz NOT NULL DEFAULT now(),
    lease_until   timestamptz NOT NULL,
    PRIMARY KEY (gateway_group, name)
) WITH (fillfactor = 50);  -- renewed every two seconds, in place

-- Clients are divided by client_id % 64; one gateway at a time serves a slot.
CREATE TABLE gateway_slot (
    gateway_group text        NOT NULL,
    slot          smallint    NOT NULL CHECK (slot BETWEEN 0 AND 63),
    holder        text,                  -- the gateway's name; null where it was given back
    incarnation   bigint,
    lease_until   timestamptz NOT NULL DEFAULT '-infinity',
    next_offset   bigint,                -- of the control topic: all before it is handled
    saved_at      timestamptz,           -- when that was so
    PRIMARY KEY (gateway_group, slot)
) WITH (fillfactor = 25);

-- One row for each client that is logged in; `state` is the gateway's own text of it.
CREATE TABLE gateway_session (
    gateway_group text        NOT NULL,
    client_id     integer     NOT NULL CHECK (client_id BETWEEN 21 AND 65534),
    slot          smallint    NOT NULL GENERATED ALWAYS AS (client_id % 64) STORED,
    state         jsonb       NOT NULL,
    saved_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway_group, client_id),
    FOREIGN KEY (gateway_group, slot) REFERENCES gateway_slot ON DELETE CASCADE
);
CREATE INDEX gateway_session_slot ON gateway_session (gateway_group, slot);

-- Clients that must prove who they are, whatever the group. The key is made of the token, which
-- is nowhere kept.
CREATE TABLE gateway_token (
    client_id integer     PRIMARY KEY CHECK (client_id BETWEEN 21 AND 65534),
    key       bytea       NOT NULL CHECK (octet_length(key) = 32),
    name      text        NOT NULL,
    added_at  timestamptz NOT NULL DEFAULT now()
);

-- Sessions and streams that an operator wants ended; the client's gateway removes what it did.
CREATE TABLE gateway_order (
    order_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway_group text        NOT NULL,
    client_id     integer     NOT NULL CHECK (client_id BETWEEN 21 AND 65534),
    ticket        bigint,                -- the stream; null ends the session
    asked_at      timestamptz NOT NULL DEFAULT now()
);

-- Gateways listen on `qd_gateway`, and look at once.
CREATE FUNCTION tell_gateways() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('qd_gateway', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

CREATE TRIGGER gateway_tokens_told
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway_token
    FOR EACH STATEMENT EXECUTE FUNCTION tell_gateways();
CREATE TRIGGER gateway_orders_told
    AFTER INSERT ON gateway_order
    FOR EACH STATEMENT EXECUTE FUNCTION tell_gateways();
