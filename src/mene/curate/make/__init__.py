"""Training points that are right by construction: made by generators, from templates and raw sets."""
