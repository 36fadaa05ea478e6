"""Untrusted text: displayed without affecting a terminal, and without secrets."""
