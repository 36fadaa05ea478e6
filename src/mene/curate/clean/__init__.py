"""Near-duplicates, and text that is also in a benchmark: found and left out."""
