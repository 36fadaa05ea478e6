"""What must not move a verdict: formats of the prompt, and surface of a response."""
