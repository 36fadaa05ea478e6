"""Models of Llama's form on OpenVINO."""
