"""Models of the Llama architecture on OpenVINO."""
