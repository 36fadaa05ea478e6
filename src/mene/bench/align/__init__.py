"""Aligning a judge with a user's own labels."""
