"""The engine that feeds a model, against one row at a time with nothing shared."""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import hashed
import numpy as np
import pytest
from hashed import TEXTS, HashedModel, HashedState
from hypothesis import event, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from mene.engines.base import Completion, Request
from mene.engines.in_process import batches as in_process_batches
from mene.engines.in_process import labels as in_process_labels
from mene.engines.in_process.critiques import add
from mene.engines.in_process.engine import InProcessEngine
from mene.engines.in_process.row import fitted
from mene.engines.labels import label_paths, label_probabilities
from mene.engines.steps import ENOUGH, _read
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError
from mene.message import Message

SCALES = [
    ("yes", "no"),
    ("0", "1", "10", "100"),
    ("good", "good rest", "bad", "bad bad no"),
    ("e", "s"),
]
STARTS = ["", "a dog. ", "a dog and a goat. " * 2]


def plain(model: HashedModel, request: Request, context: int | None = None) -> Completion:
    """What is to come out, the slow way."""
    done = Completion(request.index)
    messages = [m._asdict() for m in request.messages]
    try:
        text = model.chat(messages)
    except ValueError as error:
        done.error = EngineError(str(error))
        return done
    paths = label_paths(model.tokenize, request.cue, request.labels)
    if request.critique_tokens:
        text += request.opening
        room = request.critique_tokens
        before = model.ids(text)
        done.usage.prompt_tokens = len(before)
        if context is not None:
            if len(before) + 32 >= context:
                done.error = ContextOverflow("")
                return done
            room = min(room, context - len(before) - 32)
        written = written_by(model, request, before, room)
        whole = "".join(TEXTS[token] for token in written if token > 1)
        critique = min((whole.partition(end)[0] for end in ends_of(request)), key=len)
        done.critique = critique.strip()
        done.usage.completion_tokens = len(written)
        if critique == whole and written[-1] not in model.stops:
            done.notes.append(f"critique cut at {room} tokens")
        if not request.choose:
            return done
        before = [*model.ids((text + critique).rstrip() + "\n\n"), *paths.shared]
    else:
        before = [*model.ids(text), *paths.shared]
        done.usage.prompt_tokens = len(before)
        if context is not None and len(before) + max(map(len, paths.paths.values())) > context:
            done.error = ContextOverflow("")
            return done
    logs = {
        path: {
            t: float(log_softmax(model.logits([*before, *path], request.adapter))[t])
            for t in tokens
        }
        for path, tokens in paths.branches.items()
    }
    done.probabilities = label_probabilities(paths, logs)
    done.label = max(done.probabilities, key=done.probabilities.__getitem__)
    return done


def ends_of(request: Request) -> tuple[str, ...]:
    """What ends a critique: the cue; where no label follows, also the start of something else."""
    return (request.cue, *(() if request.choose else ENOUGH))


def written_by(model: HashedModel, request: Request, before: list[int], room: int) -> list[int]:
    random = np.random.default_rng(request.seed)
    written: list[int] = []
    while len(written) < room:
        scores = model.logits([*before, *written], request.adapter)
        token = int(scores.argmax())
        if request.temperature:
            weights = softmax(scores.astype(np.float64) / request.temperature)
            token = int(random.choice(len(weights), p=weights))
        written.append(token)
        whole = "".join(TEXTS[t] for t in written if t > 1)
        if token in model.stops or any(end in whole for end in ends_of(request)):
            break
    return written


def same(found: Completion, expected: Completion) -> None:
    assert type(found.error) is type(expected.error), found.error
    if expected.error is not None:
        return
    assert (found.label, found.critique) == (expected.label, expected.critique)
    assert found.notes == expected.notes
    assert found.usage.prompt_tokens == expected.usage.prompt_tokens
    assert found.usage.completion_tokens == expected.usage.completion_tokens
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def by_index(completions: Iterable[Completion]) -> dict[int, Completion]:
    found = list(completions)
    assert len({c.index for c in found}) == len(found)
    return {c.index: c for c in found}


def ask(text: str, index: int = 0, **settings: Any) -> Request:
    plain = {"labels": SCALES[0], "opening": "ab:", "cue": "=>"}
    return Request(index, (Message("user", text),), **{**plain, **settings})


def questions(**settings: Any) -> list[Request]:
    texts = ["a dog. ", "a dog and a goat", "a dog and a goose", "no dog", "a"]
    return [ask(f"is it true? {text}", index=i, **settings) for i, text in enumerate(texts)]


ENDS = ["", "a", "ab", "abs. ", " a ba", "so so", "goose", "s" * 30, "no!"]
texts = st.builds(str.__add__, st.sampled_from(STARTS), st.sampled_from(ENDS))
requests = st.builds(
    ask,
    texts,
    labels=st.sampled_from(SCALES),
    cue=st.sampled_from(["=>", "so:"]),
    critique_tokens=st.sampled_from([0, 0, 1, 4, 15]),
    temperature=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 3),
    choose=st.booleans(),
    adapter=st.sampled_from([0, 0, 1, None]),
)
tables = st.lists(st.one_of(st.none(), requests, requests, requests), min_size=1, max_size=8)
models = st.builds(
    HashedModel,
    trees=st.booleans(),
    tree_nodes=st.sampled_from([None, 5, 40]),
    sliding_window=st.sampled_from([None, None, 16, 40, 70]),
)


def numbered(table: list[Request | None]) -> list[Request | None]:
    """A request that chooses no label is one for a critique."""
    return [
        r and replace(r, index=i, choose=r.choose or not r.critique_tokens)
        for i, r in enumerate(table)
    ]


@settings(max_examples=100)
@given(
    runs=st.lists(tables, min_size=1, max_size=2),
    model=models,
    batch_tokens=st.sampled_from([1, 60, 200, 4096]),
    context=st.sampled_from([None, None, 60, 90]),
    window=st.integers(1, 6),
)
def test_every_row_gets_what_it_would_get_alone(
    runs: list[list[Request | None]],
    model: HashedModel,
    batch_tokens: int,
    context: int | None,
    window: int,
) -> None:
    engine = InProcessEngine(model, batch_tokens=batch_tokens, context=context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_process_batches, "WINDOW", window)
        patch.setattr(in_process_labels, "WORTHWHILE", 1)
        for table in map(numbered, runs):
            found = by_index(engine.run(iter(table)))
            assert set(found) == {r.index for r in table if r}
            for request in filter(None, table):
                expected = plain(model, request, context)
                event(f"{type(expected.error).__name__}, {bool(expected.critique)}")
                same(found[request.index], expected)


def test_windows_to_the_token() -> None:
    model = HashedModel()
    table = [
        ask("a dog", labels=SCALES[1]),
        ask("a dog", index=1, critique_tokens=9, temperature=1.0, cue="so:", seed=2),
    ]
    errors = set()
    for context in range(5, 75):
        found = by_index(InProcessEngine(model, context=context).run(table))
        for request in table:
            expected = plain(model, request, context)
            same(found[request.index], expected)
            errors.add((request.index, type(expected.error)))
    assert len(errors) == 4


@pytest.mark.parametrize("window", [None, 24])
def test_many_critiques_side_by_side(window: int | None) -> None:
    """Ends of every kind: the cue in one token or in several, the turn's end, the limit, other tokens when read again."""
    model = HashedModel(sliding_window=window)
    table = [
        ask(text, labels=labels, cue=cue, critique_tokens=8, temperature=1.0, seed=seed)
        for seed in range(12)
        for text in ("a", "a dog and ab", "s" * seed)
        for labels, cue in ((SCALES[1], "=>"), (SCALES[2], "s"))
    ]
    table = [replace(request, index=index) for index, request in enumerate(table)]
    found = by_index(InProcessEngine(model).run(table))
    for request in table:
        same(found[request.index], plain(model, request))


def test_a_row_joins_when_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step costs about the same for one row as for several, so there should be few steps for few rows."""
    model, steps = HashedModel(), []
    feed = HashedState.feed

    def watched(state: HashedState, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        if max(map(len, tokens)) == 1:
            steps.append(sum(map(len, tokens)))
        return feed(state, tokens, keep)

    monkeypatch.setattr(HashedState, "feed", watched)
    texts = ("a", "a dog. and ab", "a goat", "s")
    table = [
        ask(text, critique_tokens=60, temperature=1.0, seed=seed, choose=False)
        for seed in range(10)
        for text in texts
    ]
    table = [replace(request, index=index) for index, request in enumerate(table)]
    found = by_index(InProcessEngine(model, rows=4).run(table))
    lengths = [done.usage.completion_tokens for done in found.values()]
    assert max(lengths) > 4 * min(lengths)  # so rows that began together end at other times
    assert max(steps) == 4 and sum(steps) == sum(lengths) - len(table)
    assert sum(steps) / len(steps) > 3


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("It says ten.\n\n**Answer:** No", "It says ten."),
        ("1. Ten.\n2. Not nine.\n3. And so on", "1. Ten.\n2. Not nine."),
        ("It says ten.", "It says ten."),
    ],
)
def test_a_reason_after_a_verdict_ends_where_something_else_begins(written: str, kept: str) -> None:
    found = {}
    for choose in (True, False):
        heard: list[str] = []
        request = ask("a", critique_tokens=60, choose=choose, hear=heard.append)
        paths = label_paths(lambda text: list(map(ord, text)), *request.label_key)
        row = fitted(request, "", [32], paths, None)
        for token in map(ord, written + "~"):
            if not row.stopped:
                add(row, token, lambda tokens: "".join(map(chr, tokens)), frozenset({ord("~")}))
        assert row.stopped and not row.cut
        assert "".join(heard) == row.critique  # nothing of what ends it was passed on
        found[choose] = row.critique
    assert found == {True: written, False: kept}


@settings(max_examples=50)
@given(table=tables, model=models, most=st.integers(1, 200))
def test_out_of_memory_costs_only_the_rows_that_do_not_fit(
    table: list[Request | None], model: HashedModel, most: int
) -> None:
    table = numbered(table)
    roomy = replace(model)
    model.most = most
    found = by_index(InProcessEngine(model).run(table))
    for request in filter(None, table):
        completion, expected = found[request.index], plain(roomy, request)
        if completion.error is not None and "out of memory" in str(completion.error):
            # Prompt, labels, and what is read again behind a critique.
            labels = sum(len(label) for label in request.labels)
            assert 2 * expected.usage.prompt_tokens + request.critique_tokens + labels > most
        else:
            same(completion, expected)


@settings(max_examples=50)
@given(first=tables, second=tables, model=models, at=st.integers(1, 9), interruptible=st.booleans())
def test_a_run_that_is_stopped_ends_and_leaves_nothing_half_read(
    first: list[Request | None],
    second: list[Request | None],
    model: HashedModel,
    at: int,
    interruptible: bool,
) -> None:
    engine = InProcessEngine(model)
    model.at, model.after, model.interruptible = at, Event(), interruptible
    first, second = numbered(first), numbered(second)
    for completion in engine.run(first, model.after):
        same(completion, plain(model, next(r for r in first if r and r.index == completion.index)))
    stopped = model.after.is_set()
    event(f"stopped: {stopped}")
    if stopped and interruptible:
        assert model.calls == at
    found = by_index(engine.run(second))
    for request in filter(None, second):
        same(found[request.index], plain(model, request))


@pytest.mark.parametrize("nodes", [None, 30, 1])
def test_nothing_is_computed_twice_in_trees(
    nodes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in one tree, nor in several that are read one after the other."""
    monkeypatch.setattr("mene.engines.in_process.labels.WORTHWHILE", 1)
    model = HashedModel(tree_nodes=nodes)
    engine = InProcessEngine(model)
    table = questions(labels=("e", "s"))
    prompts = [[*model.ids(engine.prompt(r)), *model.tokenize("=> ")] for r in table]
    found = list(engine.run(table))
    assert sum(c.usage.prompt_tokens - c.usage.cached_tokens for c in found) == model.computed
    assert model.computed == len({tuple(p[:n]) for p in prompts for n in range(1, len(p) + 1)})
    again = list(engine.run(table))  # the start is kept for it
    kept = {c.usage.cached_tokens for c in again}
    assert min(kept) >= len(model.ids("user: is it true?"))
    assert sum(c.usage.prompt_tokens - c.usage.cached_tokens for c in again) < sum(
        c.usage.prompt_tokens - c.usage.cached_tokens for c in found
    )


def test_out_of_memory_halves_the_batch() -> None:
    model = HashedModel(trees=False)
    table = questions()
    longest = max(c.usage.prompt_tokens for c in InProcessEngine(model).run(table))
    model.most, model.calls = longest, 0
    found = by_index(InProcessEngine(model).run(table))
    assert not any(c.error for c in found.values())
    assert model.calls > 4
    model.most = 1
    found = by_index(InProcessEngine(model).run(table))
    assert all("out of memory on a prompt of" in str(c.error) for c in found.values())


def test_threads_get_what_one_gets() -> None:
    model = HashedModel()
    engine = InProcessEngine(model, batch_tokens=100)
    table = [*questions(), *questions(critique_tokens=9, temperature=1.0)]
    table = [replace(r, index=i) for i, r in enumerate(table)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: by_index(engine.run(table)), range(8)):
            for request in table:
                same(found[request.index], plain(model, request))


def test_no_finite_logit_is_an_error_of_the_row() -> None:
    model = HashedModel(sliding_window=None)
    spoilt = model.ids("s ")[-2:]

    class Spoilt(HashedModel):
        __slots__ = ()

        def logits(self, tokens: Any, adapter: int | None = 0) -> np.ndarray:
            found = super().logits(tokens, adapter)
            return found * np.nan if list(tokens).count(spoilt[0]) > 4 else found

    engine = InProcessEngine(Spoilt())
    for how in ({}, {"critique_tokens": 3}, {"critique_tokens": 3, "temperature": 1.0}):
        found = by_index(engine.run([ask("a", **how), ask("ssssssss", index=1, **how)]))
        assert found[0].error is None
        assert "no finite probability" in str(found[1].error)


def test_closed_and_failing() -> None:
    model = HashedModel()
    engine = InProcessEngine(model)
    running = engine.run(iter([*questions(), None, *questions()]))
    next(running)
    engine.close()
    engine.close()
    with pytest.raises(ModelError, match="closed"):
        list(running)
    with pytest.raises(ModelError, match="closed"):
        list(engine.run(questions()))
    broken = HashedModel(open=False)
    with pytest.raises(MeneError, match="the model failed on a prompt: closed"):
        list(InProcessEngine(broken).run(questions()))


@pytest.mark.parametrize("critique_tokens", [0, 20])
def test_a_prompt_that_is_too_long_is_told_in_the_same_words_by_every_engine(
    critique_tokens: int,
) -> None:
    request = Request(0, (Message("user", "x"),), ("yes", "no"), "", "", critique_tokens)
    paths = label_paths(HashedModel().tokenize, "", ("yes", "no"))
    ids = [1] * (9000 - (0 if critique_tokens else len(paths.shared)))
    with pytest.raises(ContextOverflow) as here:
        fitted(request, "x", ids, paths, 8192)
    told = {"type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}
    with pytest.raises(ContextOverflow) as server:
        _read({"error": told})
    assert str(here.value) == str(server.value)
    assert "9,000 tokens and the context window 8,192; cut its context with --truncate" in str(
        here.value
    )


# Sliding windows: the padding of a batch takes places too.


@pytest.mark.parametrize("seed", range(20))
def test_a_prompt_beyond_the_window_leaves_the_others_right(seed: int) -> None:
    draw = random.Random(seed)
    ends = ["ab go ", "so so ", "dog n", "e", "good ", "th is "]
    texts = ["a dog. " + "ab so go " * 14]  # the model sees its end only
    for _ in range(8):
        middle = draw.choice(["", "tothnuotuuig " * 2])
        texts.append("a goat so a " + middle + "".join(draw.choices(ends, k=draw.randint(0, 5))))
    table = [ask(text, index=index) for index, text in enumerate(texts)]
    model = HashedModel(sliding_window=100)
    engine = InProcessEngine(model, batch_tokens=draw.choice([60, 120, 200]))
    found = by_index(engine.run(table))
    for request in table:
        same(found[request.index], plain(model, request))


@pytest.mark.parametrize("window", [None, 120, 140])
def test_long_critiques_are_closed_within_the_window(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read again after a critique may be all of it, and rows end at different lengths."""
    bias = hashed._BIAS.copy()
    bias[1], bias[TEXTS.index("=>")] = -99, 0  # no early end of the turn
    monkeypatch.setattr(hashed, "_BIAS", bias)
    draw = random.Random(1)
    for round_ in range(10):
        model = HashedModel(sliding_window=window, trees=round_ % 2 == 0)
        table = [
            ask(
                "a" + draw.choice(["", "ab", " dog so", "s" * draw.randint(0, 20)]),
                index=index, critique_tokens=60, temperature=1.0, seed=draw.randint(0, 99),
                cue="so:", labels=SCALES[1],
            )
            for index in range(6)
        ]  # fmt: skip
        found = by_index(InProcessEngine(model).run(table))
        for request in table:
            same(found[request.index], plain(model, request))


# Ends in the middle of critiques.


def test_no_request_is_pulled_after_the_stop() -> None:
    stop, pulled = Event(), []

    def requests() -> Iterator[Request | None]:
        for index in range(9):
            pulled.append(index)
            yield ask("a goat", index=index, critique_tokens=6)
            if index == 2:
                yield None

    for _ in InProcessEngine(HashedModel()).run(requests(), stop):
        stop.set()
    assert pulled == [0, 1, 2]


def test_closing_ends_critiques_that_are_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HashedModel()
    monkeypatch.setattr(HashedModel, "close", lambda model: None)  # a model may go on working
    engine = InProcessEngine(model, rows=2)
    table = [ask("a goat", index=i, critique_tokens=9, seed=i, temperature=1.0) for i in range(20)]
    running = engine.run(table)
    next(running)
    engine.close()
    with pytest.raises(ModelError, match="was closed"):
        list(running)
    before = model.calls
    assert list(running) == [] and model.calls == before


def test_critiques_are_in_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what has joined nor what has ended is kept beside the batch."""
    live: weakref.WeakSet[HashedState] = weakref.WeakSet()
    made, compute = HashedState.__init__, HashedModel.compute
    places: list[int] = []

    def watched(state: HashedState, *given: Any) -> None:
        made(state, *given)
        live.add(state)

    def counted(model: HashedModel, at_once: int, *given: Any) -> None:
        places.append(sum(len(row) for state in live for row in state.rows))
        compute(model, at_once, *given)

    monkeypatch.setattr(HashedState, "__init__", watched)
    monkeypatch.setattr(HashedModel, "compute", counted)
    # Nothing is shared, and no two prompts fit together.
    table = [
        ask(f"{'abdeghinorst'[i]}" + "so ab go " * 11, index=i, critique_tokens=9, temperature=1.0)
        for i in range(6)
    ]
    found = by_index(InProcessEngine(HashedModel(), batch_tokens=20).run(table))
    longest = max(done.usage.prompt_tokens for done in found.values())
    assert max(places) < 1.5 * longest


def test_what_is_read_again_for_lack_of_memory_counts_as_cached_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, compute = HashedModel(), HashedModel.compute

    def once(model: HashedModel, *given: Any) -> None:
        compute(model, *given)
        if model.calls == 4:
            raise MemoryError

    monkeypatch.setattr(HashedModel, "compute", once)
    table = [
        ask("a dog and a goat", index=i, critique_tokens=9, seed=i, temperature=1.0)
        for i in range(6)
    ]
    for done in InProcessEngine(model).run(table):
        assert done.error is None
        assert 0 <= done.usage.cached_tokens <= done.usage.prompt_tokens
