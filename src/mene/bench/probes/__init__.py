"""Robustness probes: prompt formats, and superficial changes of a response, which should not change a verdict."""
