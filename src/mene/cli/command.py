"""A command: a function that takes its options as one dataclass, and its conversion to a typer command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from types import ModuleType
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from mene.errors import UsageError

HELP = {"help_option_names": ["-h", "--help"]}
NO_CRITERION = (
    "no criterion to judge by: add one with -c, a name from the list that `mene criteria` prints (-c faithfulness), "
    'a question in quotes (-c "Is the answer polite?"), or a YAML file'
)
# Too short to be continued.
AT_ONCE = (
    "report",
    "table",
    "gate",
    "compare",
    "criteria",
    "show",
    "judges",
    "leaderboard",
    "board",
    "voters",
    "moderate",
    "delete",
)


class OnceEach(TyperCommand):
    """A command that refuses an option given twice (only the last would count), and one without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, given = self.make_parser(ctx).parse_args(args=list(args))
        self._check_values(values, given, ctx.help_option_names)
        for option in set(given):
            twice = given.count(option) > 1 and option.param_type_name == "option"
            if (
                twice
                and option.nargs == 1
                and not (option.multiple or getattr(option, "is_flag", False))
            ):
                name = option.opts[0]
                hint = "give one, and leave the other out"
                if name == "--criterion":
                    hint = "run the command once for each criterion"
                raise UsageError(f"{name} is given {given.count(option)} times: {hint}")
        needs = any(param.name == "criterion" and param.required for param in self.params)
        if needs and not values.get("criterion") and not values.get("help"):
            raise UsageError(NO_CRITERION)
        return super().parse_args(ctx, args)

    def _check_values(self, values: dict[str, Any], given: list[Any], others: list[str]) -> None:
        """Refuse an option without a value, as a shell passes it for ``--judge $EMPTY --abstain``, or ``--judge "$EMPTY"``."""
        names = {name for param in self.params for name in param.opts + param.secondary_opts}
        names.update(others)
        for option in given:
            if option.param_type_name != "option" or getattr(option, "is_flag", False):
                continue
            found = values.get(option.name)
            for value in found if isinstance(found, list) else [found]:
                if value == "":
                    follows = ""
                elif isinstance(value, str) and value[:1] == "-" and value.split("=")[0] in names:
                    follows = f": {value} is an option itself"
                else:
                    continue
                raise UsageError(
                    f"{option.opts[0]} has no value{follows}; is a variable of the shell empty? Give a value, or leave "
                    f"{option.opts[0]} out"
                )

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a Ctrl-C that it does not handle itself (e.g. during a download) prints one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from mene.cli.console import say

            again = ""
            if ctx.command.name not in AT_ONCE:
                again = "; run the same command again to continue"
            say(f"mene: stopped{again}")
            sys.exit(130)


def click_command(module: ModuleType, name: str) -> Any:
    """Return the typer command of a file: from its ``app`` if it has subcommands, else from the function ``name``."""
    if (app := getattr(module, "app", None)) is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP)
        app.command(name, cls=OnceEach)(unfolded(getattr(module, name)))
    found = typer.main.get_command(app)
    found.name = name
    return found


def unfolded(run: Callable[[Any], int | None]) -> Callable[..., None]:
    """Return a function for typer: each field of the dataclass that ``run`` takes is a parameter, required ones first.

    Args:
        run: returns its exit code, None for 0.
    """
    options = next(type_ for name, type_ in get_type_hints(run).items() if name != "return")
    types = get_type_hints(options, include_extras=True)

    def command(**given: Any) -> None:
        if code := run(options(**given)):
            sys.exit(code)

    command.__doc__, command.__annotations__ = run.__doc__, types
    command.__signature__ = Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            Parameter(
                one.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if one.default is MISSING else one.default,
                annotation=types[one.name],
            )
            for one in sorted(fields(options), key=lambda one: one.default is not MISSING)
        ]
    )
    return command
