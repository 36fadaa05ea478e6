"""The rows of other tools' exports: which tool a row is of, and where in it a sample's fields are.

A form is known by the names of its columns, so that a table has one form and telling it costs nothing. ``docs/rows.md`` has
the same table for people.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from mene.errors import SampleError
from mene.values.listed import messages_of
from mene.values.path import found_at, opened
from mene.values.plain import plain
from mene.values.talk import bare, is_message, is_talk, parted, turns

# What a field is called inside the object that a traced function took or gave back; the first that is there is it.
INSIDE: dict[str, tuple[str, ...]] = {
    "instruction": (
        "instruction", "user_input", "input", "question", "query", "prompt", "message", "text", "content",
        "input_value", "user_message", "user_query", "topic",
    ),
    "response": (
        "response", "actual_output", "output", "answer", "completion", "generation", "result", "text", "content",
        "message", "reply", "final_answer", "output_text", "prediction", "output_value",
    ),
    "context": (
        "retrieval_context", "context", "retrieved_contexts", "contexts", "documents", "passages", "source_documents",
        "retrieved_documents", "docs", "sources",
    ),
    "reference": (
        "reference", "expected_response", "expected_output", "reference_answer", "ground_truth", "ideal", "expected",
        "reference_output", "answer", "output", "target",
    ),
}  # fmt: skip
Found = tuple[str, Any]  # where it stands in the row, and what it is
Reader = Callable[[Mapping[str, Any]], Found | None]


class Form(NamedTuple):
    """The form of a tool's rows.

    Attributes:
        name: what a row of it is called in messages.
        has: sets of columns; a row that has all of one is of this form.
        reads: field -> where it may stand: paths (``path.at``), the first of which that has something is read; ``PATH.*``
            is the part of an object that is the field (``INSIDE``); or functions.
        lacks: columns that no such row has. Common names of columns alone do not make a form.
        most: columns that it has at most; 0 = any number.
    """

    name: str
    has: tuple[tuple[str, ...], ...]
    reads: Mapping[str, tuple[str | Reader, ...]]
    lacks: frozenset[str] = frozenset()
    most: int = 0

    def fits(self, columns: frozenset[str]) -> bool:
        """Is a row with these columns of this form?"""
        if not self.lacks.isdisjoint(columns) or 0 < self.most < len(columns):
            return False
        return any(columns.issuperset(has) for has in self.has)


def form_of(columns: Collection[str]) -> Form | None:
    """The form that these columns show; None: of no tool that is known by them."""
    return _form_of(frozenset(columns))


@lru_cache(256)  # the rows of a table mostly have the same columns
def _form_of(columns: frozenset[str]) -> Form | None:
    return next((form for form in FORMS if form.fits(columns)), None)


def read_form(
    form: Form, row: Mapping[str, Any], skip: Collection[str], needed: Collection[str]
) -> dict[str, Found]:
    """Field -> where it stands in a row of this form, and what it is.

    Args:
        skip: fields that are read from elsewhere.
        needed: fields that somebody looks at.

    Raises:
        SampleError: a needed field may be one of several; says how to name it.
    """
    found: dict[str, Found] = {}
    for field, places in form.reads.items():
        if field in skip:
            continue
        try:
            if (read := next(_read(row, places, field), None)) is not None:
                found[field] = read
        except SampleError:
            if field in needed:
                raise
        except RecursionError:
            raise SampleError(f'field "{field}" is nested too deeply to be read') from None
    return found


def _read(row: Mapping[str, Any], places: tuple[str | Reader, ...], field: str) -> Iterator[Found]:
    for place in places:
        if callable(place):
            read = place(row)
        elif place.endswith(".*"):
            path = place.removesuffix(".*")
            read = inside(found_at(row, path), path, field)
        else:
            read = (place, found_at(row, place))
        if read is not None and not _says_nothing(read[1]):
            yield read


def inside(value: Any, path: str, field: str) -> Found | None:
    """The part of what a function took or gave back that is a field.

    Raises:
        SampleError: an answer may be any of several parts.
    """
    value = opened(value)
    bared = bare(value)
    if not isinstance(bared, Mapping) or is_message(bared):
        return None if field == "context" else _unlisted(path, bared)
    if field in ("instruction", "response"):
        for name in ("messages", "input_messages", "generations", "choices", "chat_history"):
            if (talk := messages_of(bared.get(name))) and field_fits(name, field):
                return _unlisted(f"{path}.{name}", talk)
    for name in INSIDE.get(field, ()):
        if _says_nothing(part := plain(bared.get(name))):
            continue
        deeper = isinstance(part, Mapping) and field != "context"
        return inside(part, f"{path}.{name}", field) if deeper else (f"{path}.{name}", part)
    if field == "context":
        return None
    said = {name: part for name, part in bared.items() if not _says_nothing(plain(part))}
    if len(said) == 1:
        [(name, part)] = said.items()
        return f"{path}.{name}", plain(part)
    if not said:
        return None
    if field == "response":
        names = ", ".join(f"{path}.{name}" for name in list(said)[:12])
        raise SampleError(
            f'field "response" may be any of {names}; say which with --map response={path}.{next(iter(said))}'
        )
    return path, bared


def field_fits(name: str, field: str) -> bool:
    """Answers are in generations and choices; a question is in neither."""
    return name in ("messages",) or (field == "response") == (name in ("generations", "choices"))


def _unlisted(path: str, value: Any) -> Found:
    """Without the lists around it that say "a batch of one", as LangChain writes it; the message of a choice or generation."""
    while isinstance(value, list) and len(value) == 1 and isinstance(plain(value[0]), list):
        path, value = f"{path}.0", plain(value[0])
    if isinstance(value, list) and len(value) == 1 and isinstance(one := plain(value[0]), Mapping):
        for name in ("message", "text"):
            if "content" not in one and not _says_nothing(part := one.get(name)):
                return f"{path}.0.{name}", part
    return path, value


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | Mapping) and not value)


# --- where a path does not do ---------------------------------------------------------------------------------------


def _mlflow_root(key: str, field: str) -> Reader:
    """What the root span of a trace took in or gave back."""

    def read(row: Mapping[str, Any]) -> Found | None:
        spans = found_at(row, "data.spans")
        for number, span in enumerate(spans if isinstance(spans, list) else []):
            if isinstance(span, Mapping) and not (
                span.get("parent_span_id") or span.get("parent_id")
            ):
                path = f"data.spans.{number}.attributes.{key}"
                return inside(found_at(row, path), path, field)
        return None

    return read


def _mlflow_retrieved(row: Mapping[str, Any]) -> Found | None:
    """What the last retriever of a trace gave back."""
    path = "data.spans" if "data" in row else "spans"
    spans = opened(found_at(row, path))
    spans = spans if isinstance(spans, list) else []
    for number, span in reversed(list(enumerate(spans))):
        kind = found_at(span, "attributes.mlflow.spanType")
        if isinstance(kind, str) and kind.strip('"') == "RETRIEVER":
            place = f"{path}.{number}.attributes.mlflow.spanOutputs"
            return place, opened(found_at(row, place))
    return None


def _flattened(key: str, item: str) -> Reader:
    """A list that OpenInference writes as one attribute for each value: ``llm.output_messages.0.message.role``."""

    def read(row: Mapping[str, Any]) -> Found | None:
        attributes = plain(row.get("attributes"))
        if not isinstance(attributes, Mapping):
            return None
        tree: dict[str, Any] = {}
        for name, value in attributes.items():
            if not str(name).startswith(f"{key}."):
                continue
            *way, last = _steps(str(name).removeprefix(f"{key}."))
            level = tree
            for step in way:
                level = level.setdefault(step, {})
                if not isinstance(level, dict):
                    return None
            level[last] = value
        items = [one for one in map(_list_of, tree.values()) if isinstance(one, Mapping)]
        found = [one.get(item, one) if item == "document" else one for one in items]
        return (f"attributes.{key}", found) if found else None

    return read


def _steps(name: str) -> list[str]:
    """A name in pieces, cut at the places of lists only: ``0``, ``message.tool_calls``, ``1``, ``tool_call.id``."""
    steps: list[str] = []
    for word in name.split("."):
        fresh = word.isdigit() or not steps or steps[-1].isdigit()
        steps = [*steps, word] if fresh else [*steps[:-1], f"{steps[-1]}.{word}"]
    return steps


def _list_of(tree: Any) -> Any:
    """Objects whose keys are all places in a list, as lists."""
    if not isinstance(tree, dict):
        return tree
    found = {key: _list_of(value) for key, value in tree.items()}
    if found and all(key.isdigit() for key in found):
        return list(found.values())
    if all(key.startswith("document.") for key in found):
        return {key.removeprefix("document."): value for key, value in found.items()}
    return found


def _documents(row: Mapping[str, Any]) -> Found | None:
    """The documents of Phoenix's data frame."""
    found = opened(row.get("attributes.retrieval.documents"))
    if not isinstance(found, list):
        return None
    documents = [_list_of(dict(one)) if isinstance(one, Mapping) else one for one in found]
    return "attributes.retrieval.documents", documents


def _itself(row: Mapping[str, Any]) -> Found | None:
    """A message that is the whole row."""
    return "content", {"role": "assistant", "content": row.get("content")}


def _inspect_answer(row: Mapping[str, Any]) -> Found | None:
    """The answer of a sample whose messages do not hold it."""
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
            "context": (_mlflow_retrieved,),
            "id": ("trace_id",),
        },
    ),
    Form(
        "a trace of MLflow",
        (("info", "data"),),
        {
            "instruction": (_mlflow_root("mlflow.spanInputs", "instruction"), "data.request.*"),
            "response": (_mlflow_root("mlflow.spanOutputs", "response"), "data.response.*"),
            "context": (_mlflow_retrieved,),
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
                _flattened("llm.input_messages", "message"),
            ),
            "response": (
                _flattened("llm.output_messages", "message"),
                "attributes.output.value.*",
            ),
            "context": (_flattened("retrieval.documents", "document"),),
            "id": ("context.span_id",),
        },
    ),
    Form(
        "a span of Phoenix",
        (("attributes.output.value",), ("attributes.input.value",)),
        {
            "instruction": ("attributes.input.value.*",),
            "response": ("attributes.llm.output_messages", "attributes.output.value.*"),
            "context": (_documents,),
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
