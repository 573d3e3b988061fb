"""Numbered SQL files, applied in order. Applied ones never change.

``NNNN_what_it_does.sql``, or ``.plain.sql`` and ``.timescaledb.sql`` where the kinds differ.
"""
