"""A folder of parts: a ledger that many machines write at once, in a folder or an object store."""
