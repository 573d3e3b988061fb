"""The steps at work: each holds its state, takes items and gives items. No input or output."""
