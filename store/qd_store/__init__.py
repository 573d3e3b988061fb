"""The market database: tables, import, and streams of trades and bars."""
