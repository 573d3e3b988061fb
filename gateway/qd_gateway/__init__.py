"""The QD gateway: streams trades and bars out of the database to clients over Fluvio."""
