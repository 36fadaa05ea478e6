"""How far a judge agrees with people, to the protocol of each paper."""
