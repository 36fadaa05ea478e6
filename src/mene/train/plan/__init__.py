"""What a training run will need: memory, tokens, computation, hours."""
