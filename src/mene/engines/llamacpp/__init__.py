"""llama.cpp on this machine, in a separate process."""
