"""The pytest plugin. ``plugin`` is loaded with every pytest, and imports nothing else of mene before a test asks for it."""
