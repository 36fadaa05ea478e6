"""What is wrong in a file is one line with file, line, field and a next step, of every kind alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mene.criterion import Criterion, load_criterion
from mene.errors import ModelError, UsageError
from mene.judge.preset import Preset, load_preset
from mene.recipe import Recipe, load_recipe
from mene.sample import Sample
from mene.template import Head, load_template

# ending, loader, schema, a file that is right, and what is put around a line of its keys
KINDS: dict[str, tuple[str, Callable[[str], object], type[BaseModel], str, str]] = {
    "criterion": (
        ".yaml", load_criterion, Criterion, "question: Is it?\nscale: yes/no\n", "{}\n",
    ),
    "judge": (
        ".yaml", load_preset, Preset, "engine: openai\nweights: {served: m}\n", "{}\n",
    ),
    "recipe": (
        ".yaml", load_recipe, Recipe, "data: {sources: {hanna: 1}}\n", "{}\n",
    ),
    "template": (
        ".jinja", load_template.__wrapped__, Head, "opening: x\n", "---\n{}\n---\nx\n",
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("kind", KINDS)


def said(kind: str, lines: str, folder: Path) -> str:
    """The error of a file with these lines of keys."""
    ending, load, _, _, around = KINDS[kind]
    path = folder / f"mine{ending}"
    path.write_text(around.format(lines), "utf-8")
    with pytest.raises(UsageError) as caught:
        load(str(path))
    message = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in message
    return message.removeprefix("template ")


@EACH
def test_a_wrong_key_has_its_line_and_the_nearest_one(kind: str, tmp_path: Path) -> None:
    ending, _, schema, good, _ = KINDS[kind]
    line = good.count("\n") + (2 if kind == "template" else 1)
    for key in schema.model_fields:
        if key not in good and len(key) > 3:
            wrong = f"{key[:-2]}{key[-1]}{key[-2]}"
            assert said(kind, f"{good}{wrong}: x", tmp_path) == (
                f'mine{ending}, line {line}: unknown key "{wrong}"; did you mean "{key}"?'
            )
    lost = said(kind, f"{good}zzzzzz: x", tmp_path)
    assert lost.startswith(f'mine{ending}, line {line}: unknown key "zzzzzz"; the keys are ')


@EACH
@pytest.mark.parametrize("value", ["!!timestamp 2024-13-45", "!!int x", "[", "*gone", "!!set {a}"])
def test_a_malformed_value_has_its_line(kind: str, value: str, tmp_path: Path) -> None:
    ending, _, _, good, _ = KINDS[kind]
    line = good.count("\n") + (2 if kind == "template" else 1)
    message = said(kind, f"{good}x: {value}", tmp_path)
    assert message.startswith((f"mine{ending}, line {line}: not valid YAML", f"mine{ending}, line"))


@pytest.mark.parametrize(
    ("kind", "lines", "message"),
    [
        ("criterion", "scale: yes/no", "mine.yaml: question: missing; add it"),
        ("criterion", "question: q\nscale: {kind: nominal, labls: [a, b]}",
         'mine.yaml, line 2: scale: unknown key "labls"; did you mean "labels"?'),
        ("criterion", "question: q\nscale: yes/no\nneeds: response",
         "mine.yaml, line 3: needs: must be a list; write [response]"),
        ("judge", "engine: openia\nweights: {served: m}",
         "mine.yaml, line 1: engine: Input should be 'embedded', 'llamacpp', 'openvino', 'openai', 'systemone', "
         "'transformers' or 'vllm', not 'openia'; did you mean \"openai\"?"),
        ("judge", "engine: openai\nweights: {served: m}\nname: 7",
         "mine.yaml, line 3: name: must be text; put it in quotes"),
        ("judge", "engine: openai\nweights: {served: m}\nabout:", "mine.yaml, line 3: about: empty; write a text"),
        ("judge", "engine: openai\nweights: {served: m}\ncalibrations:\n- criterion: tone\n  labels: [1, 2]\n  methd: none",
         'mine.yaml, line 6: calibrations.0: unknown key "methd"; did you mean "method"?'),
        ("judge", "engine: openai\nweights: {sources: [{hub: a/b, revison: x}]}",
         'mine.yaml, line 2: weights.sources.0: unknown key "revison"; did you mean "revision"?'),
        ("judge", "engine: systemone\nweights: {served: m}\nwrites: true",
         "mine.yaml: a System One server writes no critiques; leave out writes and mode"),
        ("recipe", "data: {sources: {hanna: 1}}\nadapter: 7",
         "mine.yaml, line 2: adapter: expected the keys rank, alpha, upper, dropout, start, frozen"),
        ("recipe", "data: {sources: {hanna: 1}}\n7: x",
         'mine.yaml, line 2: unknown key "7"; the keys are seed, base, adapter, train, data'),
        ("recipe", "data: {sources: {7: 1}}", "mine.yaml, line 1: data.sources.7: must be text; put it in quotes"),
        ("recipe", "data:\n  sources: {hana: 1}",
         'mine.yaml, line 2: data.sources: no source "hana"; did you mean "hanna"?; see `mene curate --list`'),
        ("recipe", "data: {sources: {hanna: 1}}\nadapter:\n  upper: 2",
         "mine.yaml, line 3: adapter.upper: Input should be less than or equal to 1, not 2"),
        ("template", "classes: a", 'mine.jinja, line 2: classes: must list 2 different texts, with commas between, not "a"'),
        ("template", "cue: x\nmarks: [a]", "mine.jinja, line 3: marks: must be text; put it in quotes"),
        ("template", "just words", "mine.jinja: expected the keys opening, cue, why, gap, joint, classes, pairs, marks"),
    ],
)  # fmt: skip
def test_what_is_said(kind: str, lines: str, message: str, tmp_path: Path) -> None:
    assert said(kind, lines, tmp_path) == message


def test_a_rule_on_several_fields_has_the_line_of_the_one_that_it_names(tmp_path: Path) -> None:
    text = "seed: 1\ndata:\n  sources: {}\n"
    assert said("recipe", text, tmp_path).startswith("mine.yaml, line 3: data.sources: nothing")


def test_what_was_changed_by_hand_is_not_looked_for_in_the_file() -> None:
    """The error named a line of the file, where the value was right."""
    for change, message in {
        "train.epochs=0": "train.epochs=0: train.epochs: Input should be greater",
        "data.sources={hana: 1}": 'data.sources={hana: 1}: data.sources: no source "hana"',
        "data.sources.hanna=x": "data.sources.hanna=x: data.sources.hanna: Input should be a valid",
        "train.epoks=0": 'train.epoks=0: train: unknown key "epoks"; did you mean "epochs"?',
    }.items():
        with pytest.raises(UsageError) as caught:
            load_recipe("nano", ["train.epochs=2", change])
        assert str(caught.value).startswith(message)


def test_an_empty_head_of_a_template_is_none(tmp_path: Path) -> None:
    for number, head in enumerate(("---\n---\n", "---\n\n---\n", "---\r\n---\r\n")):
        path = tmp_path / f"{number}.jinja"
        path.write_bytes(head.encode() + b"{{ response }}")
        found = load_template(str(path))
        [message] = found.render(load_criterion("tone"), Sample(response="r"), critique=False)
        assert (found.cue, message.content) == ("**Result:**", "r")


ODD = [
    b"~", b"!!timestamp 2024-13-45", b'"a\\0b"', b"~nobody-here/x", b"0x" + b"f" * 5000, b"-1", b".nan", b"1e999",
    b"[", b"{a: {b: [c]}}", b"[a, 1, ~]", b"&a [*a]", b"x" * 5000, b"\xff\xfe", b"\xf0\x9f\x98\x80", b'"\\ud83d"', b"'",
    b"../../x.jinja", b"qwen2.5", b"{base: nano}", b"9" * 400, b"true", b"yes/no", b"1-99999", b"!!binary aGk=",
]  # fmt: skip


@EACH
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_an_object_or_one_clear_error(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A judge whose template was a name with a NUL, of 5,000 characters or ``~nobody/x`` was a traceback."""
    ending, load, schema, good, around = KINDS[kind]
    odd = st.sampled_from(ODD) | st.binary(max_size=12)
    one = st.tuples(st.sampled_from(list(schema.model_fields)), odd)
    keyed = st.lists(one, max_size=3).map(
        lambda found: b"".join(b"%s: %s\n" % (key.encode(), value) for key, value in found)
    )
    lines = keyed.map(lambda more: around.encode().replace(b"{}", good.encode() + more))
    weights = odd.map(lambda w: around.encode().replace(b"{}", b"engine: openai\nweights: " + w))
    path = tmp_path_factory.getbasetemp() / f"any-{kind}{ending}"
    path.write_bytes(data.draw(lines | weights | st.binary(max_size=80)))
    try:
        assert load(str(path)) is not None
    except (UsageError, ModelError) as error:
        assert kind in str(error) or path.name in str(error)
        assert "\n" not in str(error)
