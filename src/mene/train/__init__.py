"""From training pairs to a judge: the losses, the trainer, what a run needs, what its parts bring."""
