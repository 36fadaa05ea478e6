"""Figures with intervals. Numbers in, numbers out."""
