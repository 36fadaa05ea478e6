"""Rules on runs that pass or fail, and the comparison of two runs. Figures come from ``stats``, verdicts from ``runs``."""
