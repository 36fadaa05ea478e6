"""Who fights next: what ``match.choose`` says, of the judges that answer now."""

from __future__ import annotations

from mene.arena.match import Pairing, choose
from mene.arena.state import Arena

TRIES = 40  # to find another pair than the one before


def pair(arena: Arena, avoid: tuple[str, str] | None = None) -> Pairing:
    """Two judges and their sides.

    Args:
        avoid: a pair that was just seen, in any order; it comes again only where there is no other.

    Raises:
        ArenaError: fewer than two judges answer now.
    """
    counts, down = arena.counts.get(), arena.down.now()
    found = choose(arena.judges, counts, down=down, weights=arena.weights)
    for _ in range(TRIES):
        if avoid is None or {found.a, found.b} != set(avoid):
            break
        found = choose(arena.judges, counts, down=down, weights=arena.weights)
    return found
