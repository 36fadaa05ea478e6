"""Engines run requests on a model: embedded llama.cpp, an OpenAI-compatible server, Transformers."""
