"""One module for each group of commands: options in, calls to what lies below, output."""
