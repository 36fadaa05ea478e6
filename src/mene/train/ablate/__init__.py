"""What does each part of a recipe bring? Training without it, and a comparison."""
