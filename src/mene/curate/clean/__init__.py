"""Finding and removing near-duplicates and text that is also in a benchmark."""
