"""Generated training points, with labels that are correct by construction."""
