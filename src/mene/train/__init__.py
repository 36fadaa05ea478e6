"""From training pairs to a judge: losses, trainer, plans of a run's needs, ablations."""
