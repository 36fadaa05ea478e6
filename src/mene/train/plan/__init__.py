"""What a training run needs, before it begins: memory, tokens, computation, hours."""
