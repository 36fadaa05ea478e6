"""The same run on a cluster, with Ray Data: from blocks of rows to parts of verdicts (``mene.runs.parts``)."""
