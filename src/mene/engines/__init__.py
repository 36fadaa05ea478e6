"""Engines run requests on a model: in this process, in a llama.cpp process, or on a server."""
