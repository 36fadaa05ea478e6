"""Converting a finished run's weights to other formats, with a judge preset, a Modelfile and a model card."""
