"""Tables of samples in, ledgers of verdicts out."""
