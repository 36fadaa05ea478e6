"""From raw public sets to training pairs."""
