"""The arena: people vote, blind, on which of two judges is right. Battles, votes, what they say of judges, and the pages.

Raises:
    UsageError: at the import, where the packages of the extra ``arena`` are not installed.
"""

from importlib.util import find_spec

from mene.errors import UsageError

for _name in ("sqlalchemy", "alembic"):
    if find_spec(_name) is None:
        raise UsageError(
            f'the arena needs more packages ({_name} is missing): pip install "mene[arena]"'
        )
