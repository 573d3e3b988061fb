"""What the gateway decides, without doing it: messages and ticks in, actions out."""
