"""The formats of other tools' exports: which tool a row is from, and where in it a sample's fields are.

A format is recognised by column names, so it is looked up once per table. ``docs/rows.md`` has the same table for users.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from mene.values.form import Form, Found, Reader
from mene.values.listed import messages_of
from mene.values.path import found_at
from mene.values.spans import documents, flattened, mlflow_retrieved, mlflow_root
from mene.values.talk import is_talk, parted, turns


def form_of(columns: Collection[str]) -> Form | None:
    """Return the format with these columns; None: no known tool's."""
    return _form_of(frozenset(columns))


@lru_cache(256)  # most rows of a table have the same columns
def _form_of(columns: frozenset[str]) -> Form | None:
    return next((form for form in FORMS if form.fits(columns)), None)


def _itself(row: Mapping[str, Any]) -> Found | None:
    """Return a row that is itself a message."""
    return "content", {"role": "assistant", "content": row.get("content")}


def _inspect_answer(row: Mapping[str, Any]) -> Found | None:
    """Return the answer of a sample whose messages do not contain it."""
    talk = turns(messages_of(row.get("messages")))
    if talk and is_talk(talk) and parted(talk)[1]:
        return None
    return "output.completion", found_at(row, "output.completion")


def _talk(path: str) -> Reader:
    def read(row: Mapping[str, Any]) -> Found | None:
        found = turns(messages_of(found_at(row, path)))
        return (path, found) if found and is_talk(found) else None

    return read


FORMS: tuple[Form, ...] = (
    Form(
        "a sample of an Inspect log",
        (("epoch", "target", "messages"), ("epoch", "target", "output")),
        {
            "instruction": (_talk("messages"), "input"),
            "response": (_inspect_answer,),
            "reference": ("target",),
            "id": ("id",),
        },
    ),
    Form(
        "a result of promptfoo",
        (("promptIdx", "testIdx", "response"), ("promptIdx", "testIdx", "prompt")),
        {
            "instruction": ("prompt.raw", "prompt"),
            "response": ("response.output",),
            "context": ("vars.context", "vars.contexts", "vars.documents", "testCase.vars.context"),
            "reference": ("vars.reference", "vars.expected", "vars.ground_truth"),
            "id": ("id",),
        },
    ),
    Form(
        "a run of LangSmith",
        (("run_type", "inputs"),),
        {
            "instruction": ("inputs.*",),
            "response": ("outputs.*",),
            "context": ("outputs.*", "inputs.*"),
            "reference": ("reference_outputs.*",),
            "id": ("id",),
        },
    ),
    Form(
        "an example of a LangSmith data set",
        (("dataset_id", "inputs", "outputs"),),
        {
            "instruction": ("inputs.*",),
            "context": ("inputs.*",),
            "reference": ("outputs.*",),
            "id": ("id",),
        },
    ),
    Form(
        "a trace of MLflow",
        (("trace_id", "spans", "request", "response"),),
        {
            "instruction": ("request.*",),
            "response": ("response.*",),
            "context": (mlflow_retrieved,),
            "id": ("trace_id",),
        },
    ),
    Form(
        "a trace of MLflow",
        (("info", "data"),),
        {
            "instruction": (mlflow_root("mlflow.spanInputs", "instruction"), "data.request.*"),
            "response": (mlflow_root("mlflow.spanOutputs", "response"), "data.response.*"),
            "context": (mlflow_retrieved,),
            "id": ("info.trace_id", "info.request_id"),
        },
        most=2,
    ),
    Form(
        "a span of Phoenix",
        (("attributes", "context", "span_kind"),),
        {
            "instruction": (
                "attributes.input.value.*",
                flattened("llm.input_messages", "message"),
            ),
            "response": (
                flattened("llm.output_messages", "message"),
                "attributes.output.value.*",
            ),
            "context": (flattened("retrieval.documents", "document"),),
            "id": ("context.span_id",),
        },
    ),
    Form(
        "a span of Phoenix",
        (("attributes.output.value",), ("attributes.input.value",)),
        {
            "instruction": ("attributes.input.value.*",),
            "response": ("attributes.llm.output_messages", "attributes.output.value.*"),
            "context": (documents,),
            "id": ("context.span_id",),
        },
    ),
    Form(
        "an item of a Langfuse data set",
        (("datasetId", "input", "expectedOutput"), ("dataset_id", "input", "expected_output")),
        {
            "instruction": ("input.*",),
            "context": ("input.*",),
            "reference": ("expectedOutput.*", "expected_output.*"),
            "id": ("id",),
        },
    ),
    Form(
        "a trace or observation of Langfuse",
        (
            ("traceId", "startTime", "input"),
            ("trace_id", "start_time", "input"),
            ("timestamp", "sessionId", "input", "output"),
            ("timestamp", "session_id", "input", "output"),
            ("timestamp", "userId", "input", "output"),
        ),
        {
            "instruction": ("input.*",),
            "response": ("output.*",),
            "context": ("output.*", "input.*"),
            "reference": ("expectedOutput.*", "expected_output.*"),
            "id": ("id",),
        },
    ),
    Form(
        "a row of Braintrust",
        (("span_id", "root_span_id", "input"), ("input", "output", "expected", "scores")),
        {
            "instruction": ("input.*",),
            "response": ("output.*",),
            "context": ("output.*", "input.*", "metadata.*"),
            "reference": ("expected.*",),
            "id": ("id",),
        },
    ),
    Form(
        "an event of OpenAI evals",
        (("run_id", "event_id", "sample_id", "data"),),
        {
            "instruction": ("data.prompt",),
            "response": ("data.sampled.0", "data.sampled"),
            "reference": ("data.expected", "data.ideal"),
            "id": ("sample_id",),
        },
    ),
    Form(
        "an output item of OpenAI's evals",
        (("datasource_item", "sample"),),
        {
            "instruction": ("sample.input",),
            "response": ("sample.output",),
            "context": ("datasource_item.item.*", "datasource_item.*"),
            "reference": tuple(
                f"datasource_item.{item}{name}"
                for item in ("item.", "")
                for name in (
                    "reference",
                    "expected_output",
                    "ground_truth",
                    "ideal",
                    "correct_label",
                )
            ),
            "id": ("id",),
        },
    ),
    Form(
        "a response of OpenAI",
        (("object", "output", "instructions"),),
        {
            "instruction": ("input", "instructions"),
            "response": ("output",),
            "id": ("id",),
        },
    ),
    Form(
        "a result of an Anthropic batch",
        (("custom_id", "result"),),
        {"response": ("result.message",), "id": ("custom_id",)},
    ),
    Form(
        "a message of Anthropic",
        (("role", "content", "stop_reason"),),
        {"response": (_itself,), "id": ("id",)},
    ),
    Form(
        "a talk of DeepEval",
        (
            ("turns", "scenario"),
            ("turns", "expected_outcome"),
            ("turns", "expectedOutcome"),
            ("turns", "chatbot_role"),
        ),
        {
            "context": ("turns.-1.retrieval_context", "turns.-1.retrievalContext", "context"),
            "reference": ("expected_outcome", "expectedOutcome"),
            "id": ("name",),
        },
    ),
    Form(
        "a row with inputs and outputs (MLflow, LangSmith)",
        (("inputs", "outputs"),),
        {
            "instruction": ("inputs.*",),
            "response": ("outputs.*",),
            "context": ("outputs.*", "inputs.*"),
            "reference": ("expectations.*", "reference_outputs.*", "reference"),
            "id": ("id",),
        },
        lacks=frozenset(("response", "actual_output", "output", "answer", "completion")),
    ),
)
