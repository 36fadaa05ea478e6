"""One reading of a value, whichever door it comes in by."""
