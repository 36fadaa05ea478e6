"""The pytest plugin. Every pytest run loads ``plugin``; the rest of mene is imported when a test first uses it."""
