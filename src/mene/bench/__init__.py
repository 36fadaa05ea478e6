"""How well a judge agrees with people, measured by the protocol of each benchmark's paper."""
