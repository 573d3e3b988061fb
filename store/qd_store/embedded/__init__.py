"""The embedded PostgreSQL: a real server for one machine and for tests.

``python -m qd_store.embedded --data DIR`` runs it in the foreground. Everything it
keeps is below DIR; it listens on the loopback address only, with a password of its own.
"""
