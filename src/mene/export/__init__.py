"""From a finished run to files that others can use: weights in other forms, a judge, a Modelfile, a card."""
