"""Ten tasks that a team does weekly, done with mene, DeepEval, Ragas and promptfoo: what has to be written, and does it run?

    mene serve --judge nano --alias gpt-4o-mini=nano --port 8765 &    # the model of the others, as an OpenAI-compatible server
    python benchmarks/tasks --count              # the lines of each, from the files
    python benchmarks/tasks --tools deepeval --python ENV/bin/python    # run those of one tool
    python benchmarks/tasks --tools promptfoo --path NODE_MODULES/.bin

A file's first line says how it is run (``# run: …``); without one it is ``python FILE``. Lines that count: statements of
Python (one that is wrapped counts once), of other files the lines that are not empty and no comments, and the commands.
`docs/compared.md` has the table. Needs: deepeval 4.3.1; ragas 0.4.3 with
langchain-community 0.4.1; scipy and scikit-learn beside them; promptfoo 0.123 (npm) with Node 22.22 or newer.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
TOOLS = ("mene", "deepeval", "ragas", "promptfoo")
AFTER = {"03": "01"}  # a task that reads what another has left
COMMENT = re.compile(r"^\s*(#|//)")


def scripts(task: Path, tool: str) -> list[Path]:
    return sorted(task.glob(f"with_{tool}.*"))


def command_of(script: Path) -> list[str]:
    """What is typed to run it."""
    text = script.read_text("utf-8")
    if script.suffix == ".sh":
        return text.splitlines()
    first = re.match(r"(?:#|//) run: (.*)", text)
    return first[1].split("; ") if first else [f"python {script.name}"]


def lines_of(script: Path) -> int:
    """Lines of code or settings, and commands."""
    if script.suffix == ".sh":
        return len(command_of(script))
    if script.suffix == ".py":
        with script.open("rb") as file:
            lines = sum(
                token.type == tokenize.NEWLINE for token in tokenize.tokenize(file.readline)
            )
    else:
        text = script.read_text("utf-8").splitlines()
        lines = sum(bool(x.strip()) and not COMMENT.match(x) for x in text)
    return len(command_of(script)) + lines


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read(name: str, count: int) -> list[dict[str, Any]]:
    lines = (EXAMPLES / f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines[:count]]


def prepare(folder: Path, count: int, labelled: int) -> None:
    """The files that a team has: answers, those of another prompt, labels, pairs and an agent's runs."""
    rows = [{k: v for k, v in r.items() if k != "source"} for r in read("rag", count)]
    unlabelled = [{k: v for k, v in r.items() if k != "label"} for r in rows]
    other = [r | {"response": f"As far as I know: {r['response']}"} for r in unlabelled]
    jsonl(folder / "rows.jsonl", unlabelled)
    jsonl(folder / "before.jsonl", unlabelled)
    jsonl(folder / "after.jsonl", other)
    jsonl(folder / "labelled.jsonl", read("rag", labelled))
    asked = [
        {"query": r["instruction"], "context": r["context"], "response": r["response"], "label": r["label"]}
        for r in rows
    ]  # fmt: skip
    table(folder / "rows.csv", asked)
    both = [
        {"query": a["instruction"], "context": a["context"], "before": a["response"], "after": b["response"]}
        for a, b in zip(unlabelled, other, strict=True)
    ]  # fmt: skip
    table(folder / "both.csv", both)
    pairs = [
        {k: v for k, v in r.items() if k not in ("label", "source")} for r in read("pairs", count)
    ]
    jsonl(folder / "pairs.jsonl", pairs)
    table(folder / "pairs.csv", pairs)
    agents = [
        {k: v for k, v in r.items() if k in ("id", "messages")} for r in read("agents", count)
    ]
    jsonl(folder / "agents.jsonl", agents)
    table(folder / "agents.csv", [{"talk": json.dumps(r["messages"])} for r in agents])
    scores = [{"id": r["id"], "faithfulness": 0.5, "response": r["response"]} for r in rows]
    table(folder / "scores.csv", scores)
    shutil.copy(HERE / "01_judge_a_file" / "with_promptfoo.yaml", folder / "01.yaml")


def environment(options: argparse.Namespace) -> dict[str, str]:
    """All models at the same server, and no word to the tools' makers."""
    url, paths = f"{options.url}/v1", [*options.path, Path(options.python).parent]
    return {
        **os.environ,
        "PATH": os.pathsep.join([*(str(p.absolute()) for p in paths), os.environ["PATH"]]),
        "MENE_JUDGE": "nano",
        "OPENAI_API_KEY": "any", "OPENAI_BASE_URL": url,
        "OPENAI_MODEL_NAME": "gpt-4o-mini",  # DeepEval sends a schema to models that it knows only
        "DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "DEEPEVAL_PER_ATTEMPT_TIMEOUT_SECONDS_OVERRIDE": "1200",
        "RAGAS_DO_NOT_TRACK": "true",
        "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "REQUEST_TIMEOUT_MS": "1200000",
        "PROMPTFOO_CACHE_ENABLED": "false",
    }  # fmt: skip


def go(script: Path, options: argparse.Namespace) -> str:
    """What became of it, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.rows, options.labelled or options.rows)
        if options.modules:  # where Node looks for packages
            (folder / "node_modules").symlink_to(options.modules.absolute())
        code, said = 0, ""
        commands = command_of(script)
        for first in HERE.glob(f"{AFTER.get(script.parent.name[:2])}_*"):
            for before in scripts(first, script.stem.removeprefix("with_")):
                shutil.copy(before, folder)
                commands = [*command_of(before), *commands]
        shutil.copy(script, folder)
        for command in commands:
            try:
                done = subprocess.run(
                    ["bash", "-c", command], cwd=folder, env=environment(options), text=True,
                    capture_output=True, timeout=options.timeout, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return f"not through after {options.timeout} s"
            code, said = done.returncode, done.stdout + done.stderr
            if options.show:
                print(said[-options.show :], file=sys.stderr)
        return f"exit code {code}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", action="store_true", help="only the lines, as Markdown")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--tasks", nargs="+", default=[], help="their numbers, such as 01")
    parser.add_argument("--url", default="http://127.0.0.1:8765")
    parser.add_argument("--python", default=sys.executable, help="of an environment with the tool")
    parser.add_argument("--path", type=Path, action="append", default=[], help="for commands")
    parser.add_argument("--modules", type=Path, help="node_modules with promptfoo")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--labelled", type=int, help="rows of labelled.jsonl")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for a command")
    parser.add_argument("--show", type=int, default=0, help="characters of its output")
    options = parser.parse_args()
    tasks = sorted(p for p in HERE.iterdir() if p.is_dir() and p.name[:2].isdigit())
    if options.count:
        print(f"| task | {' | '.join(TOOLS)} |\n{'|---' * (len(TOOLS) + 1)}|")
    for task in tasks:
        if options.tasks and task.name[:2] not in options.tasks:
            continue
        if options.count:
            counts = [sum(map(lines_of, scripts(task, tool))) or "-" for tool in TOOLS]
            print(f"| {task.name} | {' | '.join(map(str, counts))} |")
            continue
        for tool in options.tools:
            for script in scripts(task, tool):
                print(f"{task.name} {tool}: {go(script, options)}", flush=True)


if __name__ == "__main__":
    main()
