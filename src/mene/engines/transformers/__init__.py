"""Any causal language model that the package `transformers` can load."""
