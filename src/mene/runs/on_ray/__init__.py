"""The same run on a cluster, by Ray Data: blocks of rows in, parts of verdicts out (``mene.runs.parts``)."""
