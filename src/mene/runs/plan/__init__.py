"""What judging many rows will take, before it is done: from some rows that were measured, and stated assumptions."""
