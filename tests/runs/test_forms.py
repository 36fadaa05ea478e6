"""Exports of other tools, as those tools write them.

The files in ``forms/`` were written in November 2026 by the packages themselves, unless said otherwise:

* ``inspect.eval``, ``inspect.json``: a task of inspect-ai 0.3.285 with a tool on ``mockllm/model``, two epochs, written by
  ``write_eval_log`` without its events and (JSON) its plan.
* ``langsmith-runs.jsonl``, ``langsmith-examples.jsonl``: ``Run`` and ``Example`` of langsmith 0.15.1, their messages by
  ``dumpd`` of langchain-core 1.8.3; ``langchain-messages.jsonl``: ``model_dump``, ``messages_to_dict`` and ``dumpd`` of one talk.
* ``mlflow-traces.jsonl``, ``mlflow-search-traces.jsonl``: a traced function of mlflow-skinny 3.17.2, by ``Trace.to_json`` and
  ``search_traces(...).to_json``, without names of the machine.
* ``phoenix-spans.jsonl``: spans of openinference-instrumentation as ``phoenix.client`` 3.5.0 types them (``v1.Span``).
* ``langfuse-observations.jsonl``: ``ObservationV2`` of langfuse 5.0.4; ``langfuse-dataset-items.jsonl``: by the fields of its
  ``DatasetItem``; ``langfuse-traces.csv``: by hand, with the columns of the UI's export.
* ``deepeval-*``: ``LLMTestCase``, ``ConversationalTestCase`` (``model_dump_json``, both spellings) and
  ``EvaluationDataset.save_as("csv")`` of deepeval 4.3.1. ``ragas-multi-turn.jsonl``: messages of ragas 0.4.3.
* ``openai-*``, ``stored-completions.json``: types of openai 3.57.0; ``anthropic-*``: types of anthropic 2.14.0.
* ``openai-evals-log.jsonl``: by hand, as ``LocalRecorder`` in ``evals/record.py`` of openai/evals writes it;
  ``braintrust.jsonl``: by hand, with the keys of ``ExperimentEvent`` of braintrust 0.48.1; ``promptfoo.json``: by hand, after
  ``test/__fixtures__/sample-export.json`` of promptfoo/promptfoo; ``sharegpt.jsonl``: by hand, as LLaMA-Factory documents it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mene.criterion import load_criterion
from mene.errors import MeneError, SampleError, UsageError
from mene.runs.check import check_columns
from mene.runs.columns import has_field
from mene.runs.exports import rows_of
from mene.runs.formats import count_rows, raw_rows
from mene.runs.tables import Row, read_rows
from mene.sample import Sample, as_sample, each
from mene.values.fields import FORM
from mene.values.forms import FORMS, form_of

FILES = Path(__file__).parent / "forms"
WEATHER = "What is the weather in Paris?"
CALL = 'Assistant: [calls weather({"city": "Paris"})]'
RESULT = "Tool (weather):\n```\n18 degrees\nlight rain\n```"
DUNE = {"instruction": "Who wrote Dune?", "response": "Frank Herbert."}
SUM = {"instruction": "What is 2 + 2?", "response": "4"}
NOVEL = "Dune is a novel by Frank Herbert."
TALK = {"instruction": f"System: Be brief.\n\nUser: {WEATHER}", "response": f"{CALL}\n\n{RESULT}\n\nAssistant: 18 degrees, light rain."}  # fmt: skip
INSPECT = [
    {
        "id": name,
        "instruction": WEATHER,
        "response": f"Assistant: tool call for tool weather\n\n[calls weather({{\"city\": \"{city}\"}})]\n\n{RESULT}\n\n"
        f"Assistant: It is 18 degrees in {city}, with light rain.",
        "reference": "18 degrees, rain",
    }
    for name, city in (("paris", "Paris"), ("paris (epoch 2)", "Oslo"))
]  # fmt: skip
CASE = {"instruction": WEATHER, "response": f"{CALL}\n\n{RESULT}\n\nAssistant: 18 degrees, light rain.", "context": "Paris: 18 degrees", "reference": "18 degrees"}  # fmt: skip

EXPORTS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "inspect.eval": ("a sample of an Inspect log", INSPECT),
    "inspect.json": ("a sample of an Inspect log", INSPECT),
    "promptfoo.json": (
        "a result of promptfoo",
        [
            {
                "instruction": f"Context: {NOVEL}\n\nAnswer: Who wrote Dune?",
                "response": "Frank Herbert.",
                "context": NOVEL,
                "reference": "Frank Herbert",
            },
            {"instruction": "Context: c\n\nAnswer: Who?", "context": "c"},  # an error of the API
        ],
    ),
    "langsmith-runs.jsonl": (
        "a run of LangSmith",
        [
            {"instruction": TALK["instruction"], "response": "18 degrees."},
            {**DUNE, "context": f"source: dune.txt\n\n{NOVEL}"},
        ],
    ),
    "langsmith-examples.jsonl": (
        "an example of a LangSmith data set",
        [{"instruction": "Who wrote Dune?", "reference": "Frank Herbert"}],
    ),
    "langchain-messages.jsonl": ("", [TALK] * 3),
    "mlflow-traces.jsonl": (
        "a trace of MLflow",
        [{**DUNE, "context": f"doc_uri: dune.txt\n\n{NOVEL}"}],
    ),
    "mlflow-search-traces.jsonl": (
        "a trace of MLflow",
        [{**DUNE, "context": f"doc_uri: dune.txt\n\n{NOVEL}"}],
    ),
    "phoenix-spans.jsonl": (
        "a span of Phoenix",
        [
            {"instruction": "Who wrote Dune?", "context": f"id: dune.txt\n\n{NOVEL}"},
            {
                "instruction": "Who wrote Dune?",
                "response": 'Frank Herbert.\n\n[calls lookup({"book": "Dune"})]',
            },
            DUNE,
        ],
    ),
    "langfuse-observations.jsonl": ("a trace or observation of Langfuse", [SUM, {}]),
    "langfuse-traces.csv": ("a trace or observation of Langfuse", [SUM]),
    "langfuse-dataset-items.jsonl": (
        "an item of a Langfuse data set",
        [{"instruction": "What is 2 + 2?", "reference": "4"}],
    ),
    "braintrust.jsonl": (
        "a row of Braintrust",
        [{**DUNE, "context": NOVEL, "reference": "Frank Herbert"}],
    ),
    "openai-evals-log.jsonl": (
        "an event of OpenAI evals",
        [{"instruction": "System: Be brief.\n\nUser: What is 2 + 2?", "response": "4"}],
    ),
    "openai-output-items.jsonl": ("an output item of OpenAI's evals", [{**SUM, "reference": "4"}]),
    "openai-responses.jsonl": (
        "a response of OpenAI",
        [{"instruction": "Be brief.", "response": f"{CALL}\n\nAssistant: One moment."}],
    ),
    "stored-completions.json": ("", [{"response": "4"}]),
    "anthropic-message.jsonl": (
        "a message of Anthropic",
        [{"response": 'Let me look.\n\n[calls weather({"city": "Paris"})]'}],
    ),
    "anthropic-batch.jsonl": (
        "a result of an Anthropic batch",
        [{"response": 'Let me look.\n\n[calls weather({"city": "Paris"})]'}, {}],
    ),
    "deepeval-cases.jsonl": ("", [CASE, CASE]),
    "deepeval-dataset.csv": ("", [CASE]),
    "deepeval-turns.jsonl": (
        "a talk of DeepEval",
        [
            {
                "instruction": f"System: A guide\n\nUser: {WEATHER}",
                "response": f"{CALL}\n\nTool (weather): 18 degrees\n\nAssistant: 18 degrees.",
                "context": "Paris: 18",
                "reference": "The weather is told.",
            }
        ],
    ),
    "ragas-multi-turn.jsonl": (
        "",
        [
            {
                "instruction": WEATHER,
                "response": 'Assistant: Let me look.\n\n[calls weather({"city": "Paris"})]\n\n'
                "Tool (weather): 18 degrees, light rain\n\nAssistant: 18 degrees, light rain.",
                "reference": "It is 18 degrees.",
            }
        ],
    ),
    "sharegpt.jsonl": ("", [TALK]),
}


def test_every_file_is_tested() -> None:
    assert {path.name for path in FILES.iterdir()} == set(EXPORTS)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_read(name: str) -> None:
    form, wanted = EXPORTS[name]
    rows = list(read_rows(str(FILES / name)))
    assert len(rows) == len(wanted) and count_rows(str(FILES / name)) in (len(rows), None)
    for row, fields in zip(rows, wanted, strict=True):
        if not fields and row.sample is None:
            continue
        assert row.sample is not None, row.error
        said = row.sample.model_dump(exclude_none=True)
        own = said.pop("id")
        assert {**said, **({"id": own} if "id" in fields else {})} == fields
        assert [column for column, field in row.read_as if field == FORM] == [form] * bool(form and row.read_as)  # fmt: skip


@pytest.mark.parametrize("name", [n for n in EXPORTS if n.endswith("jsonl")])
def test_a_program_reads_it_like_a_file(name: str) -> None:
    """A row, and the same in a data frame."""
    there = [raw.values for raw in raw_rows(str(FILES / name))]
    for values, row in zip(there, read_rows(str(FILES / name)), strict=True):
        if row.sample is not None:
            read = as_sample(values, number=row.number + 1)
            assert read == row.sample


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets"])
def test_frames_of_exports(library: str) -> None:
    pytest.importorskip(library)
    rows = [
        {"inputs": {"question": "Who wrote Dune?"}, "outputs": {"answer": "Frank Herbert."}}
    ] * 2
    if library == "datasets":
        from datasets import Dataset

        frame: Any = Dataset.from_list(rows)
    elif library == "polars":
        import polars

        frame = polars.DataFrame(rows)
    else:
        import pandas

        frame = pandas.DataFrame(rows)
    assert [as_sample(row) for row in each(frame)] == [Sample(**DUNE)] * 2


def notes(row: Row) -> dict[str, str]:
    return {field: column for column, field in row.read_as if field != FORM}


def test_the_run_says_what_was_read(here) -> None:
    [row, _] = read_rows(str(FILES / "promptfoo.json"))
    assert notes(row) == {"instruction": "prompt.raw", "response": "response.output", "context": "vars.context", "reference": "vars.reference"}  # fmt: skip
    from mene.cli.few_words import FewWords

    said: list[str] = []
    list(FewWords(said.append).noting(read_rows(str(FILES / "inspect.eval"))))
    assert said == [
        'Note: taken for a sample of an Inspect log: read "messages" as instruction, "target" as reference, "messages" as '
        "response (--map FIELD=COLUMN for another column)"
    ]


def test_an_answer_that_may_be_several_says_what_to_write() -> None:
    row = {"inputs": {"q": "?"}, "outputs": {"summary": "s", "author": "a"}}
    with pytest.raises(SampleError, match=r"may be any of outputs.summary, outputs.author; choose one with --map response=outputs.summary"):  # fmt: skip
        as_sample(row)
    assert Sample.from_row(row, {"response": "outputs.author"}).response == "a"
    assert Sample.from_row(row, fields=("instruction",)).instruction == "?"


def test_a_field_that_is_nowhere_is_asked_for_with_the_paths_that_there_are(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"meta": {"who": "x", "what": "y"}, "n": 1}) + "\n")
    with pytest.raises(UsageError, match=r"the columns are meta.who, meta.what, n; say which one it is with --map response=COLUMN"):  # fmt: skip
        check_columns(str(path), load_criterion("Is it kind?"), {})
    check_columns(str(path), load_criterion("Is it kind?"), {"response": "meta.what"})
    check_columns(str(FILES / "ragas-multi-turn.jsonl"), load_criterion("goal-completion"), {})
    path.write_text(json.dumps({"user_input": "just a text"}) + "\n")
    with pytest.raises(UsageError, match='no column for "response"'):
        check_columns(str(path), load_criterion("goal-completion"), {})


def test_an_object_that_is_no_export(tmp_path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"a": [1], "b": {}}')
    with pytest.raises(UsageError, match="an export of a tool that mene knows .* with a, b"):
        list(read_rows(str(path)))


@pytest.mark.parametrize("cut", [10, 400, 2000])
def test_a_damaged_log_is_one_error(tmp_path, cut: int) -> None:
    path = tmp_path / "t.eval"
    path.write_bytes((FILES / "inspect.eval").read_bytes()[:-cut])
    with pytest.raises(MeneError, match="not a log of Inspect, or damaged|has no rows"):
        list(read_rows(str(path)))


def test_a_damaged_sample_costs_no_other(tmp_path) -> None:
    whole = (FILES / "inspect.eval").read_bytes()
    path = tmp_path / "t.eval"
    start = whole.index(b"samples/paris_epoch_2.json") + 60
    path.write_bytes(
        whole[:start] + bytes(b ^ 0xFF for b in whole[start : start + 30]) + whole[start + 30 :]
    )
    first, second = read_rows(str(path))
    assert first.sample is not None
    assert second.sample is None and f"{path}, samples/paris_epoch_2.json: damaged: " in str(second.error)  # fmt: skip


def test_a_label_that_a_person_added_is_read() -> None:
    row = json.loads((FILES / "braintrust.jsonl").read_text().splitlines()[0])
    assert as_sample({**row, "label": "Yes"}).label == "Yes"
    assert has_field("label", [*row, "label"]) and not has_field("label", row)


@pytest.mark.parametrize(
    "outputs",
    [
        "",
        {"answer": ""},
        {"answer": "", "documents": []},
        {"response": "", "text": None},
        {"x": ""},
    ],
)
def test_an_empty_answer_is_one(outputs: Any) -> None:
    assert (
        as_sample({"run_type": "chain", "inputs": {"question": "q"}, "outputs": outputs}).response
        == ""
    )
    full = as_sample(
        {"run_type": "chain", "inputs": "q", "outputs": {"response": "", "answer": "a"}}
    )
    assert full.response == "a"
    assert as_sample({"run_type": "chain", "inputs": "q", "outputs": None}).response is None


def test_an_agent_that_gives_back_the_whole_talk() -> None:
    """LangGraph's state is all messages, the user's among them."""
    talk = json.loads((FILES / "langchain-messages.jsonl").read_text().splitlines()[2])
    row = {"run_type": "chain", "inputs": {"messages": talk["messages"][:2]}, "outputs": talk}
    assert as_sample(row) == Sample(**TALK)


def test_columns_that_are_only_called_like_those_of_a_tool() -> None:
    for row in (
        {"question": "q", "answer": "r", "turns": 3},
        {"question": "q", "answer": "r", "info": "x", "data": "y"},
        {"question": "q", "answer": "r", "inputs": 1, "outputs": 2},
    ):
        assert Sample.from_row(row) == Sample(instruction="q", response="r")


def test_a_table_of_specs_is_no_log_of_evals(tmp_path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"spec": "a"}\n{"spec": {"b": 1}}\n{"final_report": "c"}\n')
    assert len(list(raw_rows(str(path)))) == 3 == count_rows(str(path))


def test_what_is_nested_without_end_is_an_error_of_the_row() -> None:
    value: Any = "x"
    for _ in range(5000):
        value = {"output": value}
    with pytest.raises(SampleError, match="nested too deeply"):
        Sample.from_row({"inputs": "q", "outputs": value})


def test_no_two_forms_claim_the_same_columns() -> None:
    for form in FORMS[:-1]:
        for has in form.has:
            assert form_of(has) is form


def test_columns_of_no_tool() -> None:
    for columns in (["input", "output"], ["instruction", "response", "context"], ["messages"], []):
        assert form_of(columns) is None


words = st.sampled_from(["samples", "results", "data", "inputs", "outputs", "id", "epoch", "target", "messages", "run_type"])  # fmt: skip
values = st.recursive(
    st.none() | st.text(max_size=3) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.dictionaries(words, values, max_size=6))
def test_whatever_an_object_holds_is_read_or_refused_in_words(export: dict[str, Any]) -> None:
    for where, row in rows_of(export) or []:
        assert isinstance(where, str)
        try:
            Sample.from_row(row)
        except SampleError as error:
            assert str(error)
