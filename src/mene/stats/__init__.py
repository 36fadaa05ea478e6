"""Figures with confidence intervals. Numbers in, numbers out."""
