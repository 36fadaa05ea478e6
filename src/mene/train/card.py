"""A finished run, read; and the texts beside its exported weights: judge's preset, Modelfile, model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mene.convert import FORMS as GGUF_FORMS
from mene.curate.sources import all_sources
from mene.errors import UsageError
from mene.preset import load_preset, preset_names
from mene.recipe import Recipe, load_recipe
from mene.train.plot import interval
from mene.weights.cache import sha256
from mene.weights.source import Weights

if TYPE_CHECKING:
    from mene.train.export import Base

Files = dict[str, Path]  # form, see ``export.FORMS`` -> what was written


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has ended.

    Attributes:
        weights: folder of its adapter or model.
        log: lines of ``log.jsonl``.
        data: what ``mene curate`` reported on its data; None where that is not at hand.
    """

    folder: Path
    recipe: Recipe
    weights: Path
    log: list[dict[str, Any]]
    data: dict[str, Any] | None


def open_run(folder: Path, data: Path | None = None) -> Finished:
    """Read what a run left, and make sure that it has ended.

    Raises:
        UsageError: no run there, or not ended; or ``data`` is not what it was trained on.
    """
    if not (folder / "recipe.yaml").is_file() or not (folder / "run.json").is_file():
        raise UsageError(f"{folder}: no training run here; give the folder that `mene train` made")
    recipe = load_recipe(str(folder / "recipe.yaml"))
    weights = folder / ("adapter" if recipe.adapter else "model")
    if not any(weights.glob("*.safetensors")):
        raise UsageError(
            f"no {weights.name}/ in {folder}: the training has not ended; run `mene train` with the same recipe and "
            "--output again to go on"
        )
    log = folder / "log.jsonl"
    try:
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.strip()]
        sums = json.loads((folder / "run.json").read_text("utf-8"))["data"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder}: log.jsonl or run.json cannot be read ({error})") from None
    return Finished(folder, recipe, weights, lines, _report(folder, data, sums.get("train.jsonl")))


def _report(run: Path, data: Path | None, digest: str | None) -> dict[str, Any] | None:
    beside = run.resolve().parent / f"{run.resolve().name.removesuffix('-run')}-data"
    folder = data or beside
    try:
        found = json.loads((folder / "report.json").read_text("utf-8"))
        same = sha256(folder / "train.jsonl") == digest
    except (OSError, ValueError) as error:
        if data is None:
            return None
        raise UsageError(f"{data}: not a folder of `mene curate` ({error})") from None
    if data is not None and not same:
        raise UsageError(f"{data}: not the data that {run} was trained on; leave out --data")
    return found if same else None


def preset_yaml(done: Finished, base: Base, name: str, files: Files) -> str:
    """``judge.yaml``: the exported form that runs fastest, as a judge.

    Exported files are named as they stand beside it. A built-in judge on the same base lends its settings.
    """

    def bare(weights: Weights) -> Weights:
        return weights.model_copy(update={"convert": None})

    weights = done.recipe.base
    assert weights is not None
    kin = [p for p in map(load_preset, preset_names()) if bare(p.weights) == bare(weights)]
    place = weights.model_dump(exclude_defaults=True)
    if weights.path:
        place["path"] = str(Path(weights.path).expanduser().resolve())
    shown = {form: path.name for form, path in files.items()}
    whole = whole_gguf(files)
    if whole:
        found: dict[str, Any] = {"engine": "llamacpp", "weights": {"path": whole.name}}
    elif base.gguf and "adapter.gguf" in files:
        engine = kin[0].engine if kin else "llamacpp"
        form = kin[0].weights.convert if kin and kin[0].weights else "Q8_0"
        converted = {"convert": form} if form else {}
        found = {
            "engine": engine,
            "weights": place | converted,
            "adapter": shown["adapter.gguf"],
        }
    elif "merged" in files or not done.recipe.adapter:
        folder = shown.get("merged") or str(done.weights.resolve())
        found = {"engine": "transformers", "weights": {"path": folder}}
    else:
        adapter = shown.get("adapter") or str(done.weights.resolve())
        found = {"engine": "transformers", "weights": place, "adapter": adapter}
    if kin:
        found["critique_tokens"] = kin[0].critique_tokens
    first, last = development(done)
    about = f"{base.name}, trained with mene."
    if first and last:
        about += (
            f" On {last['dev_rows']} development rows it is right on {last['dev_accuracy']:.0%}; before training "
            f"{first['dev_accuracy']:.0%}."
        )
    shares = done.recipe.data.templates
    template = max(shares, key=lambda one: shares[one])
    judge = {"name": name, "about": about, **found, "template": template}
    if not done.recipe.data.critiques:
        judge |= {"mode": "verdict", "writes": False}  # nothing has taught it to reason
    if "pointwise" in (done.recipe.data.compare, *done.recipe.data.derive):
        judge["compare"] = "pointwise"  # as it was taught to compare
    if done.recipe.data.system is not None:
        judge["system"] = done.recipe.data.system
    return yaml.safe_dump(judge, sort_keys=False, allow_unicode=True, width=100)


def whole_gguf(files: Files) -> Path | None:
    """The whole model as a GGUF file, where one was written."""
    return next((files[form] for form in GGUF_FORMS if form in files), None)


def modelfile(base: Base, whole: Path) -> str:
    """A Modelfile for Ollama, greedy, with the base's chat template."""
    facts = base.facts
    lines = [f"FROM ./{whole.name}"]
    template = ollama_template(facts.chat) if facts.chat else None
    if template:
        lines.append(f'TEMPLATE """{template}"""')
    if facts.stop:
        lines.append(f'PARAMETER stop "{facts.stop}"')
    lines += ["PARAMETER temperature 0", f"PARAMETER num_ctx {min(facts.context, 8192)}"]
    return "\n".join(lines) + "\n"


def ollama_template(chat: str) -> str | None:
    """A Jinja chat template as Ollama's kind (Go), for one turn: a judge is asked no more.

    Found by rendering marks. None where the turn is not simply around them; Ollama then chooses a template by itself.
    """
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse

    def around(*turns: tuple[str, str]) -> list[str]:
        messages = [{"role": role, "content": mark} for role, mark in turns]
        template = environment.from_string(chat)
        # The tokeniser adds the begin-of-text token by itself.
        text = template.render(messages=messages, add_generation_prompt=True, bos_token="")
        parts = []
        for _, mark in turns:
            before, _, text = text.partition(mark)
            parts.append(before)
        return [*parts, text]

    try:
        before, after = around(("user", "USER-TEXT"))
        try:
            start, between, end = around(("system", "SYSTEM-TEXT"), ("user", "USER-TEXT"))
        except jinja2.TemplateError:  # it knows no system role; that text then leads the user's
            start, between, end = before, "\n", after
    except jinja2.TemplateError:
        return None
    if after != end or not after or "{{" in before + start + between + after:
        return None
    system = "{{ if .System }}" + start + "{{ .System }}" + between
    return f"{system}{{{{ else }}}}{before}{{{{ end }}}}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"


def development(done: Finished) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The first and the last line of the log that judge the development rows."""
    lines = [line for line in done.log if "dev_accuracy" in line]
    return (lines[0], lines[-1]) if lines else (None, None)


def bench_table(results: Path) -> str:
    """The judges of a folder of ``mene bench``, side by side, in Markdown.

    Args:
        results: with a folder per judge, or one judge's own.

    Raises:
        UsageError: no results there.
    """
    # Bench loads scipy.
    from mene.bench.leaderboard import cell, read_results, trivial_cell
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
mene judge answers.jsonl --criterion faithfulness --judge judge.yaml --mode verdict
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
{% else %}None were judged.
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
{% endfor %}
Whether the terms of a training set reach the weights is not settled; decide for your own use.

## Intended use and limits

For comparing systems, and for finding answers that a person should look at. Not for decisions about people, and not
as the only check of anything that can do harm.

- Measure it on 50 or more rows of your own labels first (`mene align`).
- It learned the criteria and kinds of text above; others, and other languages, are untested.
- It has the errors and biases of its base and of those who labelled its data.
- What it judges can try to sway it. mene fences it, which does not make a small model immune.
"""
# What stands in a licence -> what it means for a user.
TERMS = {
    "NC": "non-commercial",
    "not stated": "no licence stated",
    "SA": "share-alike",
    "Sharing": "share-alike for the data",
    "modified": "with terms of its own",
}


def model_card(done: Finished, base: Base, name: str, files: Files, bench: str) -> str:
    """``README.md``: how to run it, what it was made of, how good it is, what it is not for."""
    import jinja2

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
    licence = base.facts.licence if base.facts.licence and not licences else "other"
    top = {"license": licence, "tags": ["llm-as-a-judge", "evaluation", "mene"]}
    if recipe.base and recipe.base.hub:
        top["base_model"] = recipe.base.hub
    lora, train = recipe.adapter, recipe.train
    trained = "all weights"
    if lora:
        trained = (
            f"LoRA, rank {lora.rank}, alpha {lora.alpha:g}, upper {lora.upper:.0%} of the layers"
        )
        if lora.start:
            trained += f", from the adapter `{lora.start}`"
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
        steps=max((line["step"] for line in done.log), default=0),
        development=_development_table(done),
        bench=bench,
        data=table(head, rows),
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
    """An accuracy with its 95 % interval."""
    low, high = interval(p, n)
    return f"{100 * p:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)
