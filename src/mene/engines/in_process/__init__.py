"""What the engines inside this process share: batches, prefix trees, labels and critiques."""
