"""How a stream is read from the database and paced, in turns with the others."""
