"""Rules that runs must pass, and the comparison of two runs. Figures come from ``stats``, verdicts from ``runs``."""
