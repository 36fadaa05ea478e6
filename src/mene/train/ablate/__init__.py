"""Ablations: what each part of a recipe contributes, by training without it."""
