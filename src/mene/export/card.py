"""``README.md``, the model card: how to run the judge, how it was made, how good it is, what it is not for."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import yaml

from mene.curate.raw.sources import all_sources
from mene.export.base import Base
from mene.export.finished import Finished, development
from mene.export.forms import Files, whole_gguf
from mene.stats.intervals import share_ends


def bench_table(results: Path) -> str:
    """Return a Markdown table that compares the judges of a folder of ``mene bench`` results.

    Args:
        results: with one folder per judge, or one judge's own.

    Raises:
        UsageError: no results there.
    """
    # Bench loads scipy.
    from mene.bench.leaderboard.cells import cell, trivial_cell
    from mene.bench.leaderboard.results import read_results
    from mene.bench.sets import all_sets

    own = (results / "summary.json").is_file()
    entries = read_results(results.resolve().parent if own else results)
    if own:
        judge = json.loads((results / "summary.json").read_text("utf-8"))["judge"]
        entries = [entry for entry in entries if entry.judge == judge]
    rows = [
        [one.title, one.metric.replace("_", " ")]
        + [cell(entry.sets.get(one.name), one) for entry in entries]
        + [trivial_cell(entries, one)]
        for one in all_sets().values()
        if any(one.name in entry.sets for entry in entries)
    ]
    return table(["benchmark", "metric", *(entry.name for entry in entries), "trivial"], rows)


# Jinja, with the names that `model_card` gives it.
CARD = """\
---
{{ top }}---

# {{ name }}

A judge of the output of language models: it reads a criterion and an answer, and gives every label of a scale a
probability. Made from {{ base.name }} with mene.

## Use

```
mene judge answers.jsonl --criterion {{ criterion }} --judge judge.yaml --mode verdict
{% if whole %}ollama create {{ name }} -f Modelfile
{% endif %}{% if "adapter.gguf" in files %}llama-server -m {{ base.gguf.name if base.gguf else "BASE.gguf" }} --lora adapter.gguf
{% endif %}{% if "merged" in files %}vllm serve merged --served-model-name {{ name }}
{% elif "adapter" in files and not base.gguf %}vllm serve {{ base.name }} --enable-lora --lora-modules {{ name }}=adapter
{% endif %}```

## Training

- trained: {{ trained }}
- loss: {{ loss }}
- {{ pairs }} training pairs, {{ train.epochs }} epoch(s), {{ steps }} steps, highest learning rate {{ "%g" % train.learning_rate }}, {{ train.dtype }}, seed {{ recipe.seed }}
- prompts: {{ recipe.data.templates | join(", ") }}; samples of {{ recipe.data.longest }} characters at most

## Development rows

{% if development %}Rows of the training's own sets, kept apart from it: they show what was learned, not how well it judges other data.
They may have been used to choose between runs.

{{ development }}
{% else %}None were judged{{ " in training" if recipe.data.own }}.
{% endif %}
## Benchmarks

{% if bench %}With 95 % intervals, beside chance and trivial baselines.

{{ bench }}
{% else %}None were run. Run `mene bench --judge judge.yaml` before you trust it.
{% endif %}
## Data

{{ data }}
{% for way, kinds in made.items() %}
{{ way }} (most samples of each): {% for kind, most in kinds.items() %}{{ kind }} {{ most }}{{ ", " if not loop.last }}{% endfor %}.
{% endfor %}
## Licences

Base: {{ base.facts.licence or "see the page of " + base.name }}. Of the training sets:

{% for what, named in licences.items() %}- {{ what }}: {{ named | join(", ") }}
{% else %}- none restricts commercial use, as far as their publishers say
{% endfor %}{% if start %}
The adapter that it started from, `{{ start }}`, was trained on other sets; their terms are on its card.
{% endif %}
Whether the terms of a training set reach the weights is not settled; decide for your own use.

## Intended use and limits

For comparing systems, and for finding answers that a person should look at. Not for decisions about people, and not
as the only check of anything that can do harm.

- Measure it on 50 or more rows of your own labels first (`mene align`).
- It learned the criteria and kinds of text above; others, and other languages, are untested.
- It has the errors and biases of its base and of those who labelled its data.
- What it judges can try to sway it. mene fences it, which does not make a small model immune.
"""
# Part of a licence's name -> what it means for a user.
TERMS = {
    "NC": "non-commercial",
    "not stated": "no licence stated",
    "SA": "share-alike",
    "Sharing": "share-alike for the data",
    "modified": "with terms of its own",
}


def model_card(
    done: Finished, base: Base, name: str, files: Files, bench: str, share: float = 1
) -> str:
    """Return the text of ``README.md``."""
    recipe, report = done.recipe, done.data
    counts = report["sources"] if report else {}
    used = [s for s in recipe.data.sources if not report or counts.get(s, {}).get("pairs")]
    terms = {source: all_sources()[source].licence for source in used}
    licences = {
        what: [
            f"`{s}`" + f" ({text})" * (mark != text) for s, text in terms.items() if mark in text
        ]
        for mark, what in TERMS.items()
        if any(mark in text for text in terms.values())
    }
    lora, train = recipe.adapter, recipe.train
    # A name, and of a path only its end: the card may be published.
    start = "/".join(Path(lora.start).parts[-2:]) if lora and lora.start else ""
    licence = base.facts.licence if base.facts.licence and not licences and not start else "other"
    top = {"license": licence, "tags": ["llm-as-a-judge", "evaluation", "mene"]}
    if recipe.base and recipe.base.hub:
        top["base_model"] = recipe.base.hub
    trained = "all weights"
    if lora:
        trained = (
            f"LoRA, rank {lora.rank}, alpha {lora.alpha:g}, upper {lora.upper:.0%} of the layers"
        )
        if lora.start:
            trained += f", from the adapter `{start}`"
        if share < 1:
            trained += f"; exported at {share:.0%} of the way from there, which the figures of development rows are not of"
    loss = [f"DPO with beta {train.beta:g}"] if train.beta else []
    loss += [f"{train.sft:g} × mean log loss of the right answer"] if train.sft else []
    choice = ""
    if train.bradley_terry:
        choice = f"; for two responses that are compared {train.bradley_terry:g} × log loss of the choice instead"
    counted = (train.pairs, report["pairs"]["train"] if report else None)
    pairs = min((n for n in counted if n is not None), default=None)
    made = {
        "Derived from their labels": recipe.data.derive,
        "Changed": recipe.data.perturb,
        "Made by programs, right by construction": recipe.data.make,
    }
    head = ["set", "training samples", "development", "left out: in a benchmark", "licence"]
    rows = []
    for source in used:
        most, kept = f"{recipe.data.sources[source]:,} at most", counts.get(source, {}).get("kept")
        numbers = (
            [kept.get("train", 0), kept.get("dev", 0), counts[source]["in_bench"]] if kept else []
        )
        rows.append([source, *([f"{n:,}" for n in numbers] or [most, "", ""]), terms[source]])
    for own in dict.fromkeys(table.name for table in recipe.data.own):
        kept = counts.get(own, {}).get("kept", {})
        rows.append([own, *(f"{kept.get(side, 0):,}" for side in ("train", "dev")), "", "own rows"])
    return jinja2.Template(CARD, keep_trailing_newline=True).render(
        name=name,
        base=base,
        files=files,
        recipe=recipe,
        train=train,
        licences=licences,
        top=yaml.safe_dump(top),
        whole=whole_gguf(files),
        pairs="all" if pairs is None else f"{pairs:,}",
        trained=trained,
        loss=" + ".join(loss) + choice,
        # The log has a line every few steps, each with their total.
        steps=max((line.get("steps", line["step"]) for line in done.log), default=0),
        development=_development_table(done),
        bench=bench,
        data=table(head, rows),
        # Any judge knows faithfulness.
        criterion=next((table.asked for table in recipe.data.own), "faithfulness"),
        start=start,
        made={way: kinds for way, kinds in made.items() if kinds},
    )


def _development_table(done: Finished) -> str:
    first, last = development(done)
    if first is None or last is None:
        return ""
    rows = [
        ["accuracy", *(f"{_interval(e['dev_accuracy'], e['dev_rows'])}" for e in (first, last))],
        ["mean of the sets", *(f"{100 * e['dev_mean_of_sets']:.1f} %" for e in (first, last))],
        ["calibration error", *(f"{100 * e['dev_ece']:.1f} %" for e in (first, last))],
        ["log loss, nats", *(f"{e['dev_log_loss']:.3f}" for e in (first, last))],
    ]
    return table([f"{last['dev_rows']} rows", *(f"step {e['step']}" for e in (first, last))], rows)


def _interval(p: float, n: int) -> str:
    """Return an accuracy with its 95 % interval."""
    low, high = share_ends(p, n)
    return f"{100 * p:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)
