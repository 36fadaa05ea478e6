"""Critiques for training: written by a teacher, filtered, and compared by a scorer."""
