"""Converting values of any source to the same text."""
