"""The statements of one gateway on the shared tables; each names all that it needs.

Common parameters: ``group``, ``name``, ``incarnation`` of the process, ``lease`` in seconds.
"""

from __future__ import annotations

from typing import Final

_NOW_LEASED = "now() + %(lease)s * interval '1 second'"
_MINE = "gateway_group = %(group)s AND incarnation = %(incarnation)s"

_MAKE_SLOTS = """
INSERT INTO gateway_slot (gateway_group, slot) SELECT %(group)s, generate_series(0, 63)
ON CONFLICT DO NOTHING
"""
_MEMBER = f"""
INSERT INTO gateway_member (gateway_group, name, incarnation, lease_until)
VALUES (%(group)s, %(name)s, %(incarnation)s, {_NOW_LEASED})
ON CONFLICT (gateway_group, name) DO
"""
_REPLACE = """
UPDATE SET incarnation = excluded.incarnation, joined_at = now(),
    lease_until = excluded.lease_until
"""
# What the process before held is free at once: it is dead, or ends when it finds this.
_FREE_BEFORE = """
UPDATE gateway_slot SET holder = NULL, incarnation = NULL, lease_until = '-infinity'
WHERE gateway_group = %(group)s AND holder = %(name)s AND incarnation <> %(incarnation)s
"""
# A group goes by its cluster's address, which may never come again.
_FORGET_MEMBERS = "DELETE FROM gateway_member WHERE lease_until < now() - interval '1 day'"
_FORGET_GROUPS = """
DELETE FROM gateway_slot
WHERE gateway_group <> %(group)s AND lease_until < now() - interval '7 days'
    AND saved_at < now() - interval '7 days'
"""
TELL: Final = "SELECT pg_notify('qd_gateway', 'gateway_slot')"

JOIN: Final = (
    _MAKE_SLOTS,
    f"{_MEMBER} {_REPLACE}",
    _FREE_BEFORE,
    _FORGET_MEMBERS,
    _FORGET_GROUPS,
    TELL,
)
JOIN_AGAIN: Final = (_MAKE_SLOTS, f"{_MEMBER} NOTHING")

LEAVE: Final = f"DELETE FROM gateway_member WHERE {_MINE} AND name = %(name)s"

# All slots are given, so that one that is this process's is renewed even where the answer that
# said so was lost. Every part sees the tables as they were before the statement.
RENEW: Final = f"""
WITH member AS (
    UPDATE gateway_member SET lease_until = {_NOW_LEASED} WHERE {_MINE} AND name = %(name)s
    RETURNING 1
), held AS (
    UPDATE gateway_slot AS s SET
        holder = CASE WHEN given.released THEN NULL ELSE s.holder END,
        incarnation = CASE WHEN given.released THEN NULL ELSE s.incarnation END,
        lease_until = CASE WHEN given.released THEN '-infinity' ELSE {_NOW_LEASED} END,
        next_offset = coalesce(given.next_offset, s.next_offset),
        saved_at = CASE WHEN given.next_offset IS NULL THEN s.saved_at ELSE now() END
    FROM unnest(%(slots)s::smallint[], %(offsets)s::bigint[], %(released)s::boolean[])
        AS given(slot, next_offset, released)
    WHERE s.gateway_group = %(group)s AND s.incarnation = %(incarnation)s AND s.slot = given.slot
    RETURNING s.slot, given.released
), ended AS (
    DELETE FROM gateway_session
    WHERE gateway_group = %(group)s AND client_id = ANY(%(ended)s::integer[])
        AND slot IN (SELECT slot FROM held)
), kept AS (
    INSERT INTO gateway_session (gateway_group, client_id, state)
    SELECT %(group)s, client_id, state::jsonb
    FROM unnest(%(clients)s::integer[], %(states)s::text[]) AS given(client_id, state)
    WHERE client_id %% 64 IN (SELECT slot FROM held)
    ON CONFLICT (gateway_group, client_id) DO UPDATE
    SET state = excluded.state, saved_at = now()
), done AS (
    DELETE FROM gateway_order WHERE order_id = ANY(%(done)s::bigint[])
), others AS (
    SELECT lease_until FROM gateway_slot
    WHERE gateway_group = %(group)s AND incarnation IS DISTINCT FROM %(incarnation)s
)
SELECT (SELECT count(*) FROM member),
    ARRAY(SELECT slot FROM held WHERE NOT released),
    ARRAY(SELECT name FROM gateway_member
          WHERE gateway_group = %(group)s AND (lease_until > now() OR name = %(name)s)
          ORDER BY name COLLATE "C"),
    (SELECT count(*) FROM others WHERE lease_until <= now()),
    (SELECT extract(epoch FROM min(lease_until) - now())::float8 FROM others
     WHERE lease_until > now())
"""

# The choice is made apart: as a table to join with, it may be made anew for each row.
TAKE: Final = f"""
WITH free AS MATERIALIZED (
    SELECT slot FROM gateway_slot
    WHERE gateway_group = %(group)s AND lease_until <= now()
        AND incarnation IS DISTINCT FROM %(incarnation)s
        AND EXISTS (SELECT FROM gateway_member WHERE {_MINE} AND name = %(name)s)
    ORDER BY slot LIMIT %(count)s FOR UPDATE SKIP LOCKED
)
UPDATE gateway_slot AS s SET
    holder = %(name)s, incarnation = %(incarnation)s, lease_until = {_NOW_LEASED}
FROM free
WHERE s.gateway_group = %(group)s AND s.slot = free.slot
RETURNING s.slot
"""

OFFSETS: Final = f"""
SELECT slot, next_offset, extract(epoch FROM now() - saved_at)::float8 FROM gateway_slot
WHERE {_MINE} AND slot = ANY(%(slots)s::smallint[]) AND next_offset IS NOT NULL
"""
SESSIONS: Final = f"""
SELECT state::text FROM gateway_session JOIN gateway_slot USING (gateway_group, slot)
WHERE {_MINE} AND slot = ANY(%(slots)s::smallint[]) ORDER BY client_id
"""
KEYS: Final = "SELECT client_id, key FROM gateway_token"
ORDERS: Final = """
SELECT order_id, client_id, ticket FROM gateway_order AS o
JOIN gateway_slot AS s ON s.gateway_group = o.gateway_group AND s.slot = o.client_id %% 64
WHERE o.gateway_group = %(group)s AND s.incarnation = %(incarnation)s ORDER BY order_id
"""
