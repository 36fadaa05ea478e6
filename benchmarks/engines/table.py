"""The figures as a table: on the terminal, in Markdown."""

from __future__ import annotations

from typing import Any

from rich.table import Table

READ = {"read_100": "100", "read_500": "500", "read_2000": "2,000", "shared": "8 shared"}
WRITE = {"write_1": "write 1", "write_8": "write 8"}
HEADS = (
    "",
    *READ.values(),
    *WRITE.values(),
    "first",
    "again",
    "MB",
    "distance",
    "differ",
    "in pieces",
    "differ",
)


def rate(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not value:
        return ""
    if "left_out" in value:
        return "–"
    digits = 0 if value["median"] >= 100 else 1
    text = f"{value['median']:,.{digits}f}"
    return (
        text
        if value["n"] == 1
        else f"{text} ({value['min']:,.{digits}f}–{value['max']:,.{digits}f})"
    )


def distance(found: dict[str, Any], key: str) -> tuple[str, str]:
    labels = found.get(key)
    if not labels:
        return "", ""
    return f"{labels['mean']:.4f} / {labels['max']:.4f}", f"{labels['differ']} of {labels['n']}"


def cells(name: str, found: dict[str, Any]) -> list[str]:
    if "failed" in found:
        return [name, *[""] * (len(HEADS) - 1)]
    rates = [rate(found, key) for key in (*READ, *WRITE)]
    starts = [f"{found[key]:.1f}" if key in found else "" for key in ("cold", "start")]
    memory = f"{found['memory_mb']:,.0f}" if "memory_mb" in found else ""
    return [
        name,
        *rates,
        *starts,
        memory,
        *distance(found, "distance"),
        *distance(found, "distance_in_pieces"),
    ]


def terminal(model: str, results: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title=f"{model}: tokens a second, seconds to the first token, memory, labels",
        title_justify="left",
    )
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for name, found in results.items():
        table.add_row(*cells(name, found))
    return table


def left_out(results: dict[str, dict[str, Any]]) -> list[str]:
    """One line for everything that has no figure, and why."""
    lines = []
    for name, found in results.items():
        if "failed" in found:
            lines.append(f"{name}: could not be run: {found['failed']}")
        for key, value in found.items():
            if isinstance(value, dict) and "left_out" in value:
                lines.append(f"{name}, {key}: {value['left_out']}")
    return lines


def row(values: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(values) + " |"


def markdown(answer: dict[str, Any]) -> str:
    machine = answer["machine"]
    lines = [
        f"{machine['name']}, {machine['threads']} threads, {', '.join(machine['sets']) or 'no set known'}"
        f"{', masked to ' + answer['isa'] if answer['isa'] else ''}; Python {machine['python']}, {answer['day']}.",
    ]
    for model, results in answer["models"].items():
        lines += ["", f"**{model}**", "", row(HEADS), row(["---", *["---:"] * (len(HEADS) - 1)])]
        lines += [row(cells(name, found)) for name, found in results.items()]
        lines += [
            f"- {line}" if number else f"\n- {line}"
            for number, line in enumerate(left_out(results))
        ]
    lines += ["", row(("", "installed", "packages")), row(("---", "---:", "---"))]
    for name, found in answer["installs"].items():
        packages = ", ".join(f"{one} {number}" for one, number in found["packages"].items())
        lines.append(row((name, f"{found['bytes'] / 1e6:,.0f} MB", packages)))
    lines += ["", row(("", "newest", "of", "wheels for", "licence")), row(["---"] * 5)]
    for name, found in answer["published"].items():
        platforms = ", ".join(found.get("platforms", [])) or "none"
        lines.append(
            row(
                (
                    name,
                    found.get("version", "?"),
                    found.get("day", "?"),
                    platforms,
                    found["licence"],
                )
            )
        )
    return "\n".join(lines) + "\n"
