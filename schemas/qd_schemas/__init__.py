"""What all parts of the system agree on: messages, topics, ids, settings; no input or output."""
