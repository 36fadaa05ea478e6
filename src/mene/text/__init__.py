"""Text from elsewhere: shown without steering a terminal, and without keys."""
