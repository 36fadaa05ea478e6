"""Reasons: written by a teacher, filtered, preferred."""
