"""From training pairs to a judge: the joint loss, the trainer, export."""
