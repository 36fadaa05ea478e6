"""The tools of the Model Context Protocol: Atla's two, mene's criteria and, where the caller owns the files, a file.

Needs the package `mcp`; ``mcp.py`` imports this file only when it is used.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from mene import __version__
from mene.criterion import Criterion, criterion_names, load_criterion
from mene.errors import MeneError
from mene.runs.tables import Row, read_rows
from mene.sample import Sample
from mene.serve.desk import Asked
from mene.serve.door import Limits, Refused
from mene.serve.eval import asked_for, evaluation_of
from mene.serve.judges import Judges
from mene.serve.rubric import criterion_in
from mene.serve.wanted import criterion_of
from mene.serve.words import told
from mene.verdict import Verdict

ABOUT = "Judges the output of language models by criteria, with a small model on this machine."
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
FIRST = 100  # default number of rows of a file

Criteria = Annotated[
    str,
    Field(
        description="What to judge by, with its scale: 'Is it polite? Your score should be an integer between 1 and 5.' "
        "or a name that list_criteria gives."
    ),
]
Prompt = Annotated[str, Field(description="What the model was asked.")]
Answer = Annotated[str, Field(description="What it answered: this is judged.")]
Expected = Annotated[str | None, Field(description="An answer that is known to be right.")]
Shown = Annotated[str | None, Field(description="Further text that the model was given.")]
Model = Annotated[str, Field(description="A judge that is served; by default the first.")]


class Evaluation(BaseModel):
    """What a judge said."""

    score: str
    critique: str


class Listed(BaseModel):
    """A criterion of the library."""

    name: str
    question: str
    scale: str
    needs: list[str]


class CriteriaList(BaseModel):
    """The criteria of the library."""

    criteria: list[Listed]


class RowVerdict(BaseModel):
    """A row of a file: its number from 1, and what the judge said or why it could not."""

    row: int
    id: str
    label: str | None = None
    score: float | None = None
    confidence: float | None = None
    critique: str | None = None
    error: str | None = None


class FileVerdicts(BaseModel):
    """A file, judged; ``more``: it has further rows."""

    judge: str
    criterion: str
    labels: dict[str, int]
    failed: int
    more: bool
    verdicts: list[RowVerdict]


class Tools:
    """The tools for the given judges."""

    def __init__(self, judges: Judges, limits: Limits) -> None:
        self._judges, self._limits = judges, limits

    async def evaluate_llm_response(
        self,
        evaluation_criteria: Criteria,
        llm_prompt: Prompt,
        llm_response: Answer,
        ctx: Context[Any, Any],
        expected_llm_output: Expected = None,
        llm_context: Shown = None,
        model_id: Model = "atla-selene",
    ) -> Evaluation:
        """Judge the response of a language model by criteria: a score and a critique."""
        texts = _texts(llm_prompt, llm_response, llm_context, expected_llm_output)
        return (await self._evaluate(ctx, [evaluation_criteria], texts, model_id))[0]

    async def evaluate_llm_response_on_multiple_criteria(
        self,
        evaluation_criteria_list: list[Criteria],
        llm_prompt: Prompt,
        llm_response: Answer,
        ctx: Context[Any, Any],
        expected_llm_output: Expected = None,
        llm_context: Shown = None,
        model_id: Model = "atla-selene",
    ) -> list[Evaluation]:
        """Judge the response of a language model by several criteria: a score and a critique for each, in their order."""
        texts = _texts(llm_prompt, llm_response, llm_context, expected_llm_output)
        return await self._evaluate(ctx, evaluation_criteria_list, texts, model_id)

    def list_criteria(self) -> CriteriaList:
        """List the criteria of the library, whose names can be given as criteria."""
        found = [load_criterion(name) for name in criterion_names()]
        listed = [
            Listed(
                name=one.name, question=one.question, scale=str(one.scale), needs=list(one.needs)
            )
            for one in found
        ]
        return CriteriaList(criteria=listed)

    async def judge_file(
        self,
        path: Annotated[str, Field(description="JSONL, JSON, CSV, TSV or Parquet.")],
        criterion: Annotated[
            str, Field(description="A name that list_criteria gives, or a question in words.")
        ],
        ctx: Context[Any, Any],
        scale: Annotated[
            str | None, Field(description="Of a question in words: 1-5, yes/no, good/bad, …")
        ] = None,
        judge: Model = "",
        rows: Annotated[int, Field(ge=1, description="At most so many.")] = FIRST,
    ) -> FileVerdicts:
        """Judge the rows of a file on this machine by a criterion."""
        if rows > self._limits.rows:
            raise ToolError(f"rows may be {self._limits.rows} at most")
        try:
            name = self._judges.name_of(judge)
            wanted = criterion_of(criterion, scale, "criterion")
            read, more = await asyncio.to_thread(_rows, path, wanted, rows)
        except (MeneError, Refused) as error:
            raise ToolError(told(error)) from None
        asked = [Asked(row.sample, wanted) for row in read if row.sample is not None]
        outcomes = iter(await self._ask(asked, name, ctx))
        verdicts = [_row(row, next(outcomes) if row.sample is not None else None) for row in read]
        return FileVerdicts(
            judge=name,
            criterion=wanted.name,
            labels=dict(Counter(one.label for one in verdicts if one.label is not None)),
            failed=sum(one.error is not None for one in verdicts),
            more=more,
            verdicts=verdicts,
        )

    async def _evaluate(
        self,
        ctx: Context[Any, Any],
        criteria: Sequence[str],
        texts: dict[str, str | None],
        model: str,
    ) -> list[Evaluation]:
        most = self._limits.field
        if any(len(text or "") > most for text in (*criteria, *texts.values())):
            raise ToolError(f"a text is longer than {most:,} characters; shorten it")
        sample = Sample(**{field: text for field, text in texts.items() if text is not None})
        try:
            preset = self._judges.presets[self._judges.name_of(model)]
            asked = [asked_for(sample, criterion_in(text), preset) for text in criteria]
        except (MeneError, ValueError) as error:
            raise ToolError(told(error)) from None
        found = list[Evaluation]()
        for number, outcome in enumerate(await self._ask(asked, model, ctx), start=1):
            if isinstance(outcome, MeneError):
                which = f"criteria {number}: " if len(criteria) > 1 else ""
                raise ToolError(f"{which}{outcome}")
            found.append(Evaluation(**evaluation_of(outcome)))
        return found

    async def _ask(
        self, asked: Sequence[Asked], model: str, ctx: Context[Any, Any]
    ) -> list[Verdict | MeneError]:
        """Return the verdicts in the order of the questions. The caller gets progress; if it disconnects, its places are freed.

        Raises:
            ToolError: no judge of that name, no free place, or a timeout.
        """
        if len(asked) > self._limits.rows:
            raise ToolError(
                f"{len(asked)} judgements at once; {self._limits.rows} may be: ask in several calls"
            )
        try:
            desk = await self._judges.desk(model)
            futures = desk.enter(asked, _client(ctx))
        except MeneError as error:
            raise ToolError(told(error)) from None
        left = set(futures)
        try:
            async with asyncio.timeout(self._limits.seconds):
                while left:
                    _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                    await ctx.report_progress(len(futures) - len(left), len(futures))
        except TimeoutError:
            raise ToolError(
                f"no answer within {self._limits.seconds:g} s; ask for less at once"
            ) from None
        finally:
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # mark it as retrieved
        found = list[Verdict | MeneError]()
        for future in futures:
            error = future.exception()
            if error is not None and not isinstance(error, MeneError):
                raise error
            found.append(error if error is not None else future.result())
        return found


def mcp_server(judges: Judges, limits: Limits, *, files: bool, lifespan: Any = None) -> MCPServer:
    """Return the server with its tools.

    Args:
        files: offer the tool that reads a file. Only if the caller may read everything that this process may.
    """
    server = MCPServer(
        "mene", version=__version__, instructions=ABOUT, log_level="WARNING", lifespan=lifespan
    )
    tools = Tools(judges, limits)
    offered = [
        tools.evaluate_llm_response,
        tools.evaluate_llm_response_on_multiple_criteria,
        tools.list_criteria,
        *([tools.judge_file] if files else []),
    ]
    for tool in offered:
        server.tool(annotations=READS)(tool)
    return server


def _texts(
    asked: str, answered: str, shown: str | None, expected: str | None
) -> dict[str, str | None]:
    return {"instruction": asked, "response": answered, "context": shown, "reference": expected}


def _rows(path: str, criterion: Criterion, most: int) -> tuple[list[Row], bool]:
    """Return the first rows of a file, and whether there are more. Not of standard input, which carries the protocol."""
    try:
        there = Path(path).is_file()
    except OSError as error:
        raise ToolError(f"{path[:200]}: {error.strerror}") from None
    if not there:
        raise ToolError(
            f"{path[:200]}: no such file; give the path of one on the machine where mene runs"
        )
    read = list(islice(read_rows(path, criterion=criterion), most + 1))
    return read[:most], len(read) > most


def _row(row: Row, outcome: Verdict | MeneError | None) -> RowVerdict:
    number = row.number + 1
    if not isinstance(outcome, Verdict):
        return RowVerdict(
            row=number, id=row.id, error=row.error if outcome is None else str(outcome)
        )
    return RowVerdict(
        row=number,
        id=row.id,
        label=outcome.label,
        score=outcome.score,
        confidence=outcome.confidence,
        critique=outcome.critique,
    )


def _client(ctx: Context[Any, Any]) -> str:
    """Return the client's id, for fair queueing; on standard input there is only one client."""
    request = ctx.request_context.request
    return request.scope.get("mene.client", "") if request is not None else ""
