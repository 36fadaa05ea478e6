"""The pytest plugin, in pytests of its own: failures, marks, the ledger, workers, and what it costs those who do not use it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mene.judge.judge  # before any pytest in this process: it forgets what is imported in it
from mene import Criterion, Sample, Scale, Verdict
from mene.errors import LedgerError, ModelError, UsageError
from mene.integrations.pytest.checks import check_of, failure, line_of
from mene.integrations.pytest.door import Door, Through
from mene.integrations.pytest.judging import Question
from mene.integrations.pytest.ledger import SharedLedger
from mene.runs.read_ledger import read_verdicts

pytest_plugins = "pytester"
ROOT = Path(__file__).parents[2]
PLUGIN = "mene.integrations.pytest.plugin"
CONFTEST = """
from pathlib import Path
import mene.judge.judge
from tests.integrations.scripted import Scripted
def opened(preset, **options):
    with open({log!r} + ".opened", "a") as file:
        file.write("opened\\n")
    return Scripted(Path({log!r}))
mene.judge.judge.open_engine = opened
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch) -> pytest.Pytester:
    """A folder of tests that are judged by `scripted.py`."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("MENE_JUDGE", "openai:scripted@http://localhost")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mene.judge.judge, "open_engine", None)  # given back at the end
    pytester.makeconftest(CONFTEST.format(log=str(pytester.path / "log")))
    return pytester


def asked(project: pytest.Pytester) -> int:
    log = project.path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", PLUGIN, *arguments)


def test_the_entry_point_is_this_plugin() -> None:
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    assert import_module(entries["pytest11"]["mene"]).__name__ == PLUGIN


def test_a_failure_shows_all_that_was_asked(project) -> None:
    project.makepyfile("""
        def test_reply(expect):
            expect("a bad answer", holds=["it names a day", "faithfulness"], lacks=["toxicity"], context="the shop")
    """)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([
        '>*expect("a bad answer", *',
        "E*AssertionError: not so: holds it names a day, holds faithfulness (2 of 3 checks failed, by *scripted*)",
        "E*✗ holds  it names a day  No  (Yes 0.10  No 0.90)  wants Yes",
        "E*✗ holds  faithfulness    No  (Yes 0.10  No 0.90)  wants Yes",
        "E*✓ lacks  toxicity        No  (Yes 0.10  No 0.90)",
        "E*response:    a bad answer",
        "E*context:     the shop",
        "mene: 3 verdicts by openai:scripted@http://localhost: 3 asked, 0 known, kept in .pytest_cache/d/mene/verdicts.jsonl",
    ])  # fmt: skip
    assert "asking.py" not in result.stdout.str()  # nothing of how it came about
    assert "judged by" not in result.stdout.str()  # the failure has said it all


def test_what_passes_passes_and_is_not_asked_again(project) -> None:
    project.makepyfile("""
        def test_good(expect, judge):
            verdicts = expect("a good one", holds="Is it polite?", at_least=0.85)
            assert [v.label for v in verdicts] == ["Yes"] and verdicts[0].id.endswith("::test_good")
            assert judge("a good one", criterion="Is it polite?").key == verdicts[0].key
            [a, b] = judge.judge(["good", {"response": "bad"}], "tone")
            assert (a.label, b.label) == ("5", "1") and a.score > 4
            [lacking] = judge.judge("good", "faithfulness")
            assert 'field "context" is missing' in lacking.error
    """)
    run(project).assert_outcomes(passed=1)
    assert asked(project) == 3
    again = run(project)
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["mene: 5 verdicts by *: 1 asked, 4 known, kept in *"])
    assert asked(project) == 3
    ledger = project.path / ".pytest_cache/d/mene/verdicts.jsonl"
    assert {v.criterion for v in read_verdicts(ledger)} == {"is-it-polite", "tone"}
    run(project, "--cache-clear").assert_outcomes(passed=1)
    assert asked(project) == 6
    run(project, "--mene-ledger", "own.jsonl").assert_outcomes(passed=1)
    assert len((project.path / "own.jsonl").read_text().splitlines()) == 3
    run(project, "-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert asked(project) == 12


def test_verdicts_stand_below_any_other_failure(project) -> None:
    project.makepyfile("""
        def test_other(judge):
            assert judge("good", criterion="tone").label == "2"
    """)
    result = run(project)
    result.stdout.fnmatch_lines(["-* judged by *scripted* -*", "tone  5  (1 0.0?  2 *; score 4.*)"])


def test_a_mark_judges_what_the_test_returns(project) -> None:
    project.makepyfile("""
        import pytest
        from mene import Criterion, Sample
        POLITE = Criterion(name="polite", question="Polite?", scale="yes/no")

        @pytest.mark.mene("helpfulness", at_least=4)
        @pytest.mark.mene(POLITE)
        @pytest.mark.mene("How warm is it?", scale="0-10", at_least=5)
        class TestAll:
            def test_text(self):
                return {"instruction": "say", "response": "a good text"}

            def test_many(self):
                return [{"instruction": "say", "response": r} for r in ("good", "bad")]

            async def test_nobody_awaits(self):
                return "good"

        @pytest.mark.mene("faithfulness")
        def test_lacks_a_field():
            return Sample(response="good")

        @pytest.mark.mene("faithfulness", at_most=3)
        def test_wrong_mark():
            return "good"

        @pytest.mark.mene(POLITE)
        def test_returns_nothing():
            pass

        @pytest.mark.mene(POLITE)
        def test_fails_by_itself():
            assert False, "own reason"

        @pytest.mark.mene("helpfulness", at_least=7)
        def test_out_of_range():
            return "good"

        @pytest.mark.xfail(strict=True)
        @pytest.mark.mene(POLITE)
        def test_known_to_fail():
            return "bad"
    """)
    result = run(
        project,
        "--deselect",
        "test_a_mark_judges_what_the_test_returns.py::TestAll::test_nobody_awaits",
    )
    result.assert_outcomes(passed=1, failed=6, xfailed=1, deselected=1)
    result.stdout.fnmatch_lines([
        "not so: meets helpfulness, meets polite, meets How warm is it? (3 of 6 checks failed, by *)",
        "  ✗ meets  helpfulness *; score *)  wants score ≥ 4",
        "  ✗ meets  polite * wants Yes",
        "  response:    bad",
        '*field "context" is missing or empty, and faithfulness needs it*',
        "*write the mark as @pytest.mark.mene(criterion, at_least=…, scale=…)",
        "*a test with the mark mene returns what is judged*",
        "*own reason",
        "*at_least=7: helpfulness gives 1 to 5",
    ])  # fmt: skip
    assert "PytestReturnNotNone" not in result.stdout.str()


def test_a_mark_without_a_criterion_selects_tests_and_judges_nothing(project) -> None:
    project.makepyfile("""
        import pytest
        @pytest.mark.mene
        class TestMarked:
            def test_selected(self, judge):
                judge("good", criterion="Is it polite?")

            def test_returns(self):
                return "bad"

            @pytest.mark.mene("Is it polite?")
            def test_judged(self):
                return "good"

        def test_marked_by_the_plugin(judge):
            return judge("good", criterion="Is it polite?")
    """)
    result = run(project, "-m", "mene")
    result.assert_outcomes(passed=3, failed=1, warnings=1)  # pytest warns of the last one itself
    result.stdout.fnmatch_lines(["the test returns something to judge, but its mark names no *"])


def test_a_judged_text_gives_no_command_to_github(project, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.makepyfile("""
        import pytest
        @pytest.mark.mene("Is it polite?")
        def test_bad():
            return "bad\\n::error file=a.py::pwned"
    """)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*u003a:error file=a.py::pwned"])


def test_an_awaited_test_is_judged_too(project) -> None:
    """Any plugin for async tests will do: the mark leaves the test a coroutine function."""
    project.makeconftest(
        (project.path / "conftest.py").read_text()
        + """
import asyncio, inspect, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        asyncio.run(pyfuncitem.obj())
        return True
"""
    )
    project.makepyfile("""
        import pytest
        @pytest.mark.mene("Is it polite?")
        async def test_bad():
            return "bad"
    """)
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["not so: meets Is it polite? (1 of 1 checks failed, *"])


def test_what_makes_no_sense_is_said_in_one_line(project) -> None:
    project.makepyfile("""
        def test_typo(expect): expect("x", holds="faithfullness", context="c")
        def test_scale(expect): expect("x", holds="helpfulness", instruction="i")
        def test_nothing(expect): expect("x")
        def test_field(expect): expect("x", holds="Nice?", contxt="c")
        def test_unseen(expect): expect("x", holds="toxicity", reference="c")
        def test_lacking(expect): expect("x", holds="faithfulness")
        def test_broken(judge): judge("broken", criterion="Nice?")
        def test_broken_too(expect): expect("broken", holds="Nice?")
    """)
    result = run(project, "--tb=short")
    result.assert_outcomes(failed=8)
    result.stdout.fnmatch_lines([
        '*did you mean "faithfulness"*',
        "*helpfulness has the scale 1-5, but a statement needs a yes/no scale*",
        "*say what must hold of the text*",
        "*got an unexpected keyword argument 'contxt'*",
        "*no statement here shows the judge the field reference; leave it out",
        '*field "context" is missing*',
        "*EngineError: it broke; try again",
        "E*✗ holds  Nice?  no verdict: it broke; try again",
    ])  # fmt: skip
    assert "asking.py" not in result.stdout.str()
    assert not (
        project.path / ".pytest_cache/d/mene/verdicts.jsonl"
    ).exists()  # an error is no verdict


def test_without_a_judge_tests_are_skipped_or_fail(project) -> None:
    conftest = (project.path / "conftest.py").read_text()
    missing = """
from mene.errors import ModelError
def opened(preset, **options):
    raise ModelError("no weights; get them")
mene.judge.judge.open_engine = opened
"""
    project.makeconftest(conftest + missing)
    project.makepyfile("""
        import pytest
        def test_one(expect): expect('x', holds='Nice?')
        @pytest.mark.mene("Nice?")
        def test_two(): return "y"
    """)
    result = run(project, "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(
        ["SKIPPED * mene has no judge: no weights; get them (--mene-require makes this a failure)"]
    )
    run(project, "--mene-require").assert_outcomes(failed=2)


def test_a_critique_where_one_is_asked_for(project) -> None:
    project.makepyfile("def test_it(expect): expect('bad', holds='Nice?')")
    project.makeini(
        "[pytest]\nmene_judge = openai:scripted@http://localhost\nmene_ledger = kept/v.jsonl"
    )
    assert "because" not in run(project).stdout.str()
    for questions in (2, 2):  # the critique is kept as well
        run(project, "--mene-explain").stdout.fnmatch_lines(
            ["E*✗ holds  Nice?  No*", "E*because of that"]
        )
        assert asked(project) == questions
    assert [v.critique for v in read_verdicts(project.path / "kept/v.jsonl")] == ["because of that"]


def test_tests_that_ask_can_be_left_out(project) -> None:
    project.makepyfile("""
        import pytest
        def test_asks(expect): expect("good", holds="Nice?")
        def test_plain(): pass
        class TestOwn:
            @pytest.fixture
            def judge(self): return 7
            def test_own(self, judge): assert judge == 7
    """)
    run(project, "-m", "not mene", "--strict-markers").assert_outcomes(passed=2, deselected=1)
    assert asked(project) == 0


def test_workers_share_one_judge_and_ask_nothing_twice(project) -> None:
    """Four files over two workers: one model is opened, in the process that started them."""
    for n in range(4):
        project.makepyfile(**{f"test_{n}": f"""
            import os
            def test_a(expect): expect("good {n}", holds="Nice?")
            def test_shared(judge):
                assert os.environ["PYTEST_XDIST_WORKER"]
                assert judge("the same good", criterion="Nice?").label == "Yes"
            def test_bad(expect): expect("bad {n}", holds="Nice?")
        """})  # fmt: skip
    result = project.runpytest_subprocess(
        "-p", PLUGIN, "-p", "xdist.plugin", "-n", "2", "--dist", "loadfile"
    )
    result.assert_outcomes(passed=8, failed=4)
    result.stdout.fnmatch_lines(["E*✗ holds  Nice?  No  (Yes 0.10  No 0.90)  wants Yes"])
    result.stdout.fnmatch_lines(
        ["mene: 12 verdicts by *: 9 asked, 3 known, kept in .pytest_cache*"]
    )
    assert asked(project) == 9
    assert (project.path / "log.opened").read_text() == "opened\n"
    result = run(project)  # without workers: the same ledger
    result.assert_outcomes(passed=4, failed=8)  # `test_shared` wants a worker
    assert asked(project) == 9


def test_workers_that_cannot_be_let_in_judge_by_themselves(monkeypatch) -> None:
    from mene.integrations.pytest import door, plugin

    def no_socket(**options):
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(door, "Listener", no_socket)
    config = SimpleNamespace(stash={plugin.SESSION: plugin.Session()})
    node = SimpleNamespace(
        gateway=SimpleNamespace(spec=SimpleNamespace(popen=True)), config=config, workerinput={}
    )
    plugin.pytest_configure_node(node)
    assert node.workerinput == {}
    with pytest.raises(ModelError, match="has ended"):
        Through(str(Path(__file__).parent / "no-socket"), b"k")


def test_a_pytest_that_does_not_use_it_loads_nothing(project) -> None:
    project.makeconftest("")
    project.makepyfile("""
        import sys
        def test_loaded():
            loaded = {m for m in sys.modules if m.split(".")[0] in ("mene", "pydantic", "jinja2", "httpx", "numpy")}
            own = "mene.integrations.pytest"
            assert loaded <= {"mene", "mene.integrations", own, f"{own}.plugin", f"{own}.session"}
    """)
    result = project.runpytest_subprocess("-p", PLUGIN)
    result.assert_outcomes(passed=1)
    assert "mene:" not in result.stdout.str()
    assert not (project.path / ".pytest_cache/d/mene").exists()


def test_a_download_is_told_at_once_and_warnings_at_the_end(project) -> None:
    conftest = (project.path / "conftest.py").read_text()
    said = """
from mene.events import Begin, Warn
def opened(preset, *, events, **options):
    events(Begin("weights.gguf", 93_000_000))
    events(Warn("nano judges instead"))
    return Scripted()
mene.judge.judge.open_engine = opened
"""
    project.makeconftest(conftest + said)
    project.makepyfile("def test_it(expect): expect('good', holds='Nice?')")
    result = run(project)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["mene: downloading weights.gguf, 93 MB; the next run has it", "mene: nano judges instead"]
    )


def test_the_page_on_pytest_is_true(project) -> None:
    """Its tests run. No reply has the word for which the scripted judge says yes, so what fails, fails as a verdict."""
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        project.makepyfile(**{f"test_{number}": block})
    result = run(project, "--strict-markers")
    outcomes = result.parseoutcomes()
    assert (
        set(outcomes) <= {"passed", "failed", "warnings", "warning"}
        and outcomes["failed"] >= len(blocks) - 1
    )
    said = result.stdout.str()
    assert "not so: " in said and not re.search(
        r"^E +(?!Assertion)\w*Error", said, flags=re.MULTILINE
    )


# The ledger.


def verdict(key: str, label: str = "Yes", **more: object) -> Verdict:
    return Verdict(id="t", criterion="c", judge="j", key=key, label=label, **more)


def test_two_ledgers_on_one_file_see_each_other(tmp_path) -> None:
    path = tmp_path / "deep/er/v.jsonl"
    one, two = SharedLedger(path, pytest.fail), SharedLedger(path, pytest.fail)
    assert one.find("a") is None and not path.parent.exists()
    one.add(verdict("a"))
    two.add(verdict("b"))
    assert one.find("b") and two.find("a")
    one.add(Verdict(key="c", error="no"))
    two.add(verdict("a", revision=1, critique="why"))
    assert two.find("c") is None
    assert SharedLedger(path, pytest.fail).find("a").critique == "why"
    path.unlink()  # pytest --cache-clear
    two.add(verdict("d"))
    assert one.find("d") and len(list(read_verdicts(path))) == 1


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["add", "tear", "fail", "clear"]), st.sampled_from("abc")
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=40)
def test_whatever_happens_what_was_said_is_found(steps) -> None:
    """Three processes; a kill tears a line; a judge fails; the cache is cleared."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "v.jsonl"
        ledgers = [SharedLedger(path, pytest.fail) for _ in range(3)]
        said: dict[str, int] = {}
        for number, (who, step, key) in enumerate(steps):
            if step == "add":
                ledgers[who].add(verdict(key, revision=number))
                said[key] = number
            elif step == "fail":
                ledgers[who].add(Verdict(key=key, error="no"))
            elif step == "tear" and path.exists():
                with path.open("ab") as file:
                    file.write(b'{"id": "t", "key": "' + key.encode())
            elif step == "clear":
                path.unlink(missing_ok=True)
                ledgers, said = [SharedLedger(path, pytest.fail) for _ in range(3)], {}
        fresh = SharedLedger(path, pytest.fail)
        for key in "abc":
            found = fresh.find(key)
            assert (found and found.revision) == said.get(key)
            assert all((ledger.find(key) is not None) == (key in said) for ledger in ledgers)


WRITER = """
import sys
from pathlib import Path
from mene import Verdict
from mene.integrations.pytest.ledger import SharedLedger
ledger = SharedLedger(Path(sys.argv[1]), print)
for n in range(150):
    ledger.add(Verdict(id="t" * n * 40, criterion="c", judge="j", key=f"{sys.argv[2]}{n}", label="Yes"))
"""


def test_processes_that_write_at_once_lose_no_line(tmp_path) -> None:
    path = tmp_path / "v.jsonl"
    source = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], env=source) for name in "ab"
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    keys = [json.loads(line)["key"] for line in path.read_text().splitlines()]
    assert sorted(keys) == sorted(f"{name}{n}" for name in "ab" for n in range(150))


def test_a_line_torn_by_a_kill_is_mended(tmp_path) -> None:
    path, warned = tmp_path / "v.jsonl", []
    SharedLedger(path, warned.append).add(verdict("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "half')
    ledger = SharedLedger(path, warned.append)
    assert ledger.find("a") and not warned
    ledger.add(verdict("b"))
    assert path.read_bytes().startswith(whole) and b"half" not in path.read_bytes()
    assert [v.key for v in read_verdicts(path)] == ["a", "b"]
    path.write_bytes(whole + b'{"of": "another version"}\nno json\n')
    assert SharedLedger(path, warned.append).find("b") is None
    assert len(warned) == 1 and "not verdicts of this version" in warned[0]


@pytest.mark.posix
def test_a_ledger_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="choose another file with --mene-ledger"):
        SharedLedger(tmp_path / "file" / "v.jsonl", pytest.fail).add(verdict("a"))


def test_threads_of_a_worker_take_turns(tmp_path) -> None:
    class Echo:
        def verdicts(self, questions):
            if questions[0].sample.response == "bad":
                raise UsageError("so not")
            return [Verdict(key=one.response, label="Yes") for one, _ in questions]

        def close(self): ...

    door = Door(Echo)
    through, done = Through(door.address, door.key), []
    criterion = Criterion(question="Nice?", scale=Scale.binary())

    def ask(n: int) -> None:
        [said] = through.verdicts([Question(Sample(response=str(n)), criterion)])
        done.append((str(n), said.key))

    threads = [Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8 and all(a == b for a, b in done)
    with pytest.raises(UsageError, match="so not"):
        through.verdicts([Question(Sample(response="bad"), criterion)])
    with pytest.raises(Exception, match="digest"):
        Through(door.address, b"another key")
    through.close()
    door.close()


# Checks.


def test_what_passes() -> None:
    sure = verdict("k", probabilities={"Yes": 0.7, "No": 0.3})
    assert check_of("holds", "Nice?").passes(sure) and not check_of("lacks", "Nice?").passes(sure)
    assert check_of("holds", "Nice?", 0.7).passes(sure) and not check_of(
        "holds", "Nice?", 0.71
    ).passes(sure)
    assert not check_of("lacks", "Nice?", 0.31).passes(sure)
    assert not check_of("meets", "toxicity").passes(sure) and check_of(
        "meets", "toxicity", 0.3
    ).passes(sure)
    bare = verdict("k", "No")  # of a server without probabilities
    assert check_of("lacks", "Nice?", 0.9).passes(bare) and check_of(
        "meets", "toxicity", 0.9
    ).passes(bare)
    left = Verdict(abstained=True, likeliest="Yes")
    assert not check_of("holds", "Nice?").passes(left)
    assert "left to a person" in line_of(None, left)


def test_statements_show_what_they_are_told_to() -> None:
    assert "context" in check_of("holds", "it names a day").criterion.shown
    for spec in ("it names a day", "Does it name a day?"):
        assert check_of("holds", spec, uses=[]).criterion.shown == ("response",)
    assert "context" in check_of("holds", "faithfulness", uses=[]).criterion.shown


def test_statements_are_made_questions() -> None:
    assert (
        check_of("holds", "It names a day.").criterion.question
        == "Is this true of the response: It names a day?"
    )
    assert check_of("holds", "It names a day.").criterion.name == "It names a day"
    assert check_of("lacks", "Does it name\na day?").criterion.question == "Does it name\na day?"
    for wrong in ("polite", "preference"):
        with pytest.raises(UsageError):
            check_of("holds", wrong)
    with pytest.raises(UsageError, match="has a scale already"):
        check_of("meets", check_of("holds", "Nice?").criterion, scale="1-5")
    for at in (1.1, -0.1, "much", True):
        with pytest.raises(UsageError, match="gives 0 to 1"):
            check_of("holds", "Nice?", at)  # type: ignore[arg-type]


def test_what_steers_a_terminal_is_written_out() -> None:
    check = check_of("holds", "Nice?")
    bad = Verdict(criterion="Nice?", judge="j\x1b[31m", label="No", critique="x\x1b]0;title\x07\ny")
    said = failure([(Sample(response="a\x1b[2Jb\n" + "long " * 100), check, bad)])
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", said) and "\\u001b[2J" in said
    assert "… (" in said and max(map(len, said.splitlines())) <= 100
