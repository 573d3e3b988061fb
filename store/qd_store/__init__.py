"""The market database."""
