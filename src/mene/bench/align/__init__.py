"""A judge and a user's own labels."""
