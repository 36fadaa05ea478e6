"""vLLM, offline: batches of prompts on the GPUs of one machine, without a server."""
