"""Code shared by the engines inside this process: batches, prefix trees, labels and critiques."""
