"""From a sample to a verdict: presets, comparisons, judges and juries."""
