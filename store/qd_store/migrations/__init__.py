"""Numbered SQL files, applied in order: ``NNNN_what_it_does.sql``. Applied ones never change."""
