"""Every command in the pages is one that exists, with options that it has; those that need no network are run."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from docs.made import cli
from mene.bench.sets import find_sets
from mene.cli.app import COMMANDS, app
from mene.criteria_set import load_criteria
from mene.gate.rules import parse_rule
from mene.judge.preset import load_preset
from mene.recipe import load_recipe
from tests.docs.written import INLINE, ROOT, Command, commands, named_commands, of_mene, pages

# Programs of others that a page may call. What they are given is theirs to check.
OTHERS = {
    "python3",
    "cat",
    "echo",
    "jq",
    "head",
    "twine",
    "rm",
    "openssl",
    "ray",
    "nox",
    "jupyter",
    "accelerate",
    "sparrow-decider",
}
# Commands of mene that are parsed and not run, by what is among their words.
NOT_RUN = {
    "--on": "Ray: tests/cli/test_judge_on_ray.py",
    "--plan": "measures this machine: tests/runs",
    "--suite": "needs benchmark rows: tests/bench",
    "--data": "needs the data folder, unless it names a table",
    "--get": "downloads",
    "rows.verdicts": "a folder of parts: tests/runs",
    "log.eval": "an Inspect log: tests/values",
    "curate": "needs the data folder: tests/curate",
    "train": "trains: tests/train",
    "ablate": "trains: tests/train",
    "tune": "trains: tests/train",
    "polite/judge.yaml": "a judge that has to be trained: tests/train",
    "export": "needs a trained judge: tests/export",
    "serve": "does not end: tests/serve, tests/docs/test_served.py",
    "arena": "needs a database with votes: tests/cli/test_arena.py",
    "align": "needs more labelled rows than there are: tests/bench",
    "leaderboard": "needs results: tests/bench",
    "bench": "needs benchmark rows: tests/bench",
}
SHAPES = (
    r"FILE|RECIPE|DATA|VERDICTS|RULES|TABLE|ROWS|NAME|CRITERION|JUDGE|A|B|N|ID|VOTER|.*….*|.*\.\.\."
)


@cache
def built(name: str) -> Any:
    """A command; each lookup in the command line makes it anew."""
    commands: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return commands[name]


def parsed(words: tuple[str, ...], whole: bool = True) -> dict[str, Any]:
    """What the command line makes of words.

    Args:
        whole: False where some may be missing (the name of a command in a sentence), but none may be wrong.
    """
    if not words or words[0].startswith("-"):
        assert set(words) <= {"--version", "--help"}
        return {}
    command, *rest = built(words[0]), *words[1:]
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    assert not hasattr(command, "commands") or not rest or rest[0].startswith("-"), (
        f"no command {rest[0]!r}"
    )
    whole = whole and "…" not in rest
    rest = [
        {"N": "1", "X": "1", "…": "tone"}.get(word, word)
        for before, word in zip(["", *rest], rest, strict=False)
        if not re.fullmatch(r"\[.*|.*…\]|--help|-h", word)
        and (word != "…" or before.startswith("-"))
    ]
    if whole:
        return command.make_context("mene", rest).params
    parser = command.make_parser(command.context_class(command, info_name="mene"))
    try:
        return parser.parse_args(args=list(rest))[0]
    except Exception as error:
        if not rest[-1].startswith("-") or "requires an argument" not in str(error):
            raise
        return parser.parse_args(args=[*rest, "tone"])[0]


@cache
def extras() -> set[str]:
    return set(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
            "optional-dependencies"
        ]
    )


def check(command: Command, whole: bool = True) -> None:
    """That a command exists, and what it names."""
    words = command.words
    for extra in re.findall(r"mene\[([\w,-]+)\]", " ".join(words)):
        assert set(extra.split(",")) <= extras()
    if (given := of_mene(command)) is not None:
        check_values(parsed(given, whole))
    elif words[0] == "python" and words[1] != "-m":
        check_script(ROOT / words[1], words[2:])
    elif words[:2] == ("python", "-m") and words[2].startswith("tests."):
        check_script(ROOT / (words[2].replace(".", "/") + ".py"), words[3:])
    else:
        name = words[0].rsplit("/", 1)[-1]
        assert name in OTHERS | {"python", "pip", "pytest", "curl", "ruff", "pyright"}, (
            f"what is {name}?"
        )


def check_script(path: Path, words: tuple[str, ...]) -> None:
    """That a script of the project is there and reads these options."""
    file = path / "__main__.py" if path.is_dir() else path
    sources = "".join(
        one.read_text("utf-8") for one in ([file] if path.is_file() else path.glob("*.py"))
    )
    assert file.is_file()
    for word in words:
        if word.startswith("--"):
            assert f'"{word.split("=")[0]}"' in sources, f"{path.name} has no {word}"


def check_values(values: dict[str, Any]) -> None:
    """Names of criteria, judges, sets, recipes and rules that come with mene."""
    criteria = values.get("criterion") or ()
    for one in (criteria,) if isinstance(criteria, str) else criteria:
        if not re.fullmatch(SHAPES, one) and not one.endswith(".yaml"):
            assert load_criteria(one)
    for option in ("judge", "jury", "teacher"):
        for one in str(values.get(option) or "").split(","):
            one = one.split("=", 1)[-1] if re.match(r"\w+=", one) else one
            if (
                one
                and not re.fullmatch(SHAPES, one)
                and not one.endswith(".yaml")
                and ":" not in one
                and one != "small"
            ):
                assert load_preset(one)
    for rule in values.get("rule") or ():
        assert parse_rule(rule)
    suite = str(values.get("suite") or "").removeprefix("bias:").removeprefix("robustness:")
    assert not suite or re.fullmatch(SHAPES + "|SET|robustness|bias", suite) or find_sets(suite)
    recipe = str(values.get("recipe") or "")
    if recipe and not re.fullmatch(SHAPES, recipe) and not recipe.endswith(".yaml"):
        changes = [one for one in values.get("changes") or () if "=" in one and "…" not in one]
        assert load_recipe(recipe, changes)


@pytest.mark.parametrize("command", commands(), ids=str)
def test_a_command_is_one_that_exists(command: Command) -> None:
    check(command)


def test_commands_named_in_sentences_exist() -> None:
    assert len(named_commands()) > 50
    wrong = []
    for command in named_commands():
        try:
            check(command, whole=False)
        except Exception as error:
            wrong.append(f"{command}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


# Options that a sentence names and that are not of mene or its scripts.
OF_OTHERS = {"--help", "--version", "--cache-clear", "--key"}  # the last two: pytest, jevcompat


def test_options_named_in_sentences_exist() -> None:
    commands = [
        command
        for name in COMMANDS
        for command in (built(name), *getattr(built(name), "commands", {}).values())
    ]
    known = {
        option
        for one in commands
        for param in one.params
        for option in (*param.opts, *param.secondary_opts)
    }
    scripts = [
        *(ROOT / "benchmarks").rglob("*.py"),
        ROOT / "src/mene/integrations/pytest/plugin.py",
        ROOT / "tests/arena/crash.py",
    ]
    known |= {
        name for path in scripts for name in re.findall(r'"(--[\w-]+)"', path.read_text("utf-8"))
    }
    named = {
        (option, page)
        for page, text in pages().items()
        for code in INLINE.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }
    assert len(named) > 100
    assert not {one for one in named if one[0] not in known | OF_OTHERS}


def test_a_wrong_command_is_found() -> None:
    for words in (
        ("mene", "juge", "x.jsonl"), ("mene", "judge", "x.jsonl", "-c", "tone", "--lmit", "3"),
        ("mene", "judge", "x.jsonl", "-c", "faithfullness"), ("mene", "arena", "sereve"), ("mene", "judge", "x.jsonl"),
        ("pip", "install", "mene[serv]"), ("mene", "bench", "--suite", "selene12"), ("mene", "train", "nanno"),
        ("mene", "gate", "v.jsonl", "--rule", "tone: men >= 3"), ("python", "benchmarks/judge.py", "--no-such"), ("meme",),
    ):  # fmt: skip
        with pytest.raises((Exception, SystemExit)):
            check(Command("here", words))


# The reference of the site.


def test_the_command_line_is_all_there() -> None:
    page = cli.page()
    for name in COMMANDS:
        command = built(name)
        inner = getattr(command, "commands", {})
        for path, one in [(name, command), *((f"{name} {below}", inner[below]) for below in inner)]:
            section = re.search(rf"^##+ mene {path}\n(.*?)(?=^##|\Z)", page, flags=re.M | re.S)
            assert section, f"no section for mene {path}"
            options = [
                opt
                for param in one.params
                if param.param_type_name == "option"
                for opt in param.opts
            ]
            missing = [
                opt
                for opt in options
                if f"{opt} " not in section[1]
                and f"{opt}," not in section[1]
                and f"{opt}`" not in section[1]
            ]
            assert not missing, f"mene {path}: {missing}"
    assert "<" not in re.sub(r"`[^`]*`|\\<", "", page)


def test_a_table_of_options_is_whole() -> None:
    for line in cli.page().splitlines():
        if line.startswith("| `"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3, line


# Those that are run, by an engine that answers at once.


def why_not(words: tuple[str, ...]) -> str | None:
    """Why a command is not run, or None."""
    if re.search(r"…|\[|(?:^| )(?:FILE|VERDICTS|NAME|JUDGE)\b|://|:[A-Z]", " ".join(words)):
        return "a pattern"
    if words[0] == "report" and "rows.verdicts" not in words:  # its --data is a table
        return None
    return next((why for mark, why in NOT_RUN.items() if mark in words), None)


RUN = list(
    {
        given: command
        for command in commands()
        if (given := of_mene(command)) and not why_not(given)
    }.values()
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    rows = [json.loads(line) for line in (ROOT / "examples" / "rag.jsonl").open(encoding="utf-8")][
        :3
    ]
    pairs = (ROOT / "examples" / "pairs.jsonl").read_text("utf-8").splitlines()[:2]
    for row in rows:
        row["reference"] = row["context"]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("answers.jsonl", "rag.jsonl", "rows.jsonl"):
        (folder / name).write_text(lines)
    (folder / "examples" / "rag.jsonl").write_text(lines)
    (folder / "pairs.jsonl").write_text("\n".join(pairs) + "\n")
    (folder / "answers.csv").write_text("response\nIt ships today.\nNo.\n")
    run = {"outputs": {"answer": "It ships today.", "documents": ["It ships on Mondays."]}}
    (folder / "runs.jsonl").write_text(json.dumps(run) + "\n")
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    (folder / "chats.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    verdicts = "".join(
        json.dumps({"id": row["id"], "criterion": "faithfulness", "judge": "nano", "label": row["label"],
                    "probabilities": {"Yes": 0.75 if row["label"] == "Yes" else 0.25, "No": 0.25 if row["label"] == "Yes" else 0.75},
                    "key": f"{n:032x}", "row": n, "content": f"{n:016x}"}) + "\n"
        for n, row in enumerate(rows, start=1)
    )  # fmt: skip
    for name in (
        "answers.verdicts",
        "rag.verdicts",
        "before.verdicts",
        "after.verdicts",
        "before",
        "after",
    ):
        (folder / f"{name}.jsonl").write_text(verdicts)
    (folder / "rules.yaml").write_text("faithfulness: share(Yes) >= 0.5\n")
    (folder / "checks.yaml").write_text("criteria: [faithfulness, tone]\n")
    return folder


@pytest.mark.parametrize("command", RUN, ids=str)
def test_a_command_runs(command: Command, files, toy, here, tmp_path, monkeypatch) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MENE_JUDGE", "base")
    monkeypatch.setattr("mene.judge.judge.open_engine", lambda *_, **__: toy)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper((tmp_path / "rows.jsonl").open("rb")))
    done = here(*(of_mene(command) or ()))
    assert done.returncode in (0, 3, 4), done.stderr


def test_many_commands_are_run() -> None:
    assert {(of_mene(command) or ("",))[0] for command in RUN} >= {
        "judge", "report", "gate", "compare", "table", "criteria",
    }  # fmt: skip
    assert len(RUN) >= 30


def test_every_reason_is_needed() -> None:
    given = [of_mene(command) or () for command in commands()]
    unused = [mark for mark in NOT_RUN if not any(mark in words for words in given)]
    assert not unused, f"no command has {unused} among its words: take the reasons out"
    assert set(COMMANDS) >= {mark for mark in NOT_RUN if mark.isalpha()}
