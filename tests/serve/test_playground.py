"""The playground, used by a real Chromium as a person would; and without one, what its files and routes hold."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mene.criterion import parse_criterion
from mene.judge.judge import Judge
from mene.judge.preset import load_preset
from mene.sample import FIELDS, Sample

uvicorn = pytest.importorskip("uvicorn", reason='needs pip install "mene[serve]"')
from mene.serve.app import build_app  # noqa: E402
from mene.serve.judges import Judges  # noqa: E402
from mene.serve.keys import Keys  # noqa: E402
from mene.serve.metrics import Meter  # noqa: E402
from mene.serve.playground_api import FOLDER, PARTS  # noqa: E402
from mene.serve.serving import Serving  # noqa: E402
from mene.serve.wanted import criterion_of  # noqa: E402
from tests.serve.threaded import threaded  # noqa: E402

ROOT = Path(__file__).parents[2]
SECRET = "a-key-for-tests"
TIMEOUT_MS = 20_000


class Site:
    """A server on the toy engine; ``script``, where it is set, answers /v1/judge in its place."""

    def __init__(self, engine: Any, keys: Keys | None = None) -> None:
        presets = [load_preset("base"), load_preset("nano")]
        judges = Judges(presets, opened=lambda preset: Judge(preset, engine=engine))
        self._app = build_app(Serving(judges, Meter(), keys=keys))
        self.script: Any = None
        self.left = threading.Event()  # a client of a script went away

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.script is not None and scope.get("path") == "/v1/judge":
            await self.script(receive, send)
        else:
            await self._app(scope, receive, send)


@contextmanager
def running(site: Site) -> Iterator[str]:
    with threaded(uvicorn.Config(site, log_level="critical"), force=True) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def site() -> Site:
    # By its path: tests are imported on their own (--import-mode=importlib).
    from tests.conftest import ToyEngine

    return Site(ToyEngine())


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    with running(site) as url:
        yield url


# Without a browser.


def test_files_come_under_a_strict_policy(url) -> None:
    for path, kind in (("/", "text/html"), ("/playground/main.js", "text/javascript"), ("/playground/style.css", "text/css")):  # fmt: skip
        answer = httpx.get(url + path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert "'unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["examples.jsonl", "..%2fapp.py", "%2e%2e/app.py", "nothing.js"])
def test_no_other_file_comes(url, name) -> None:
    assert httpx.get(f"{url}/playground/{name}").status_code == 404


def test_the_page_is_made_of_its_own_files_and_texts_alone() -> None:
    page = (FOLDER / "index.html").read_text("utf-8")
    files = {path.name: path for folder in (FOLDER, PARTS) for path in folder.iterdir()}
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?:", page)
    for name in re.findall(r'(?:src|href)="/playground/([^"]+)"', page):
        assert name in files
    for file in files.values():
        if file.suffix != ".js":
            continue
        code = file.read_text("utf-8")
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|https?:"
        assert not re.search(forbidden, code), file.name
        for name in re.findall(r'from "\./([^"]+)"', code):
            assert name in files, f"{file.name}: {name}"


def test_colours_can_be_read_by_day_and_by_night() -> None:
    """Contrast of WCAG AA: 4.5 for text, 3 for what surrounds a control."""

    def light(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(2 * d for d in colour)
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    blocks = re.findall(r":root \{(.*?)\}", (PARTS / "style.css").read_text("utf-8"), re.S)
    assert len(blocks) == 2
    for block in blocks:
        of = dict(re.findall(r"--([\w-]+): #(\w+);", block))
        for ink, ground, least in (
            ("ink", "paper", 4.5), ("ink", "ground", 4.5), ("faint", "paper", 4.5), ("faint", "ground", 4.5),
            ("accent", "paper", 4.5), ("accent", "ground", 4.5), ("on-accent", "accent", 4.5), ("ink", "mark", 4.5),
            ("wrong", "wrong-ground", 4.5), ("edge", "paper", 3), ("accent", "fill", 1.5),
        ):  # fmt: skip
            low, high = sorted((light(of[ink]), light(of[ground])))
            assert (high + 0.05) / (low + 0.05) >= least, f"{ink} on {ground}"


def test_examples_can_be_judged_and_are_the_repositorys(url) -> None:
    rows = [
        json.loads(line)
        for name in ("rag.jsonl", "pairs.jsonl")
        for line in (ROOT / "examples" / name).read_text("utf-8").splitlines()
    ]
    examples = httpx.get(f"{url}/playground/examples").json()["examples"]
    assert "diagnosis" in examples[0]["title"]
    for example in examples:
        criterion = criterion_of(example["criterion"], None, "criterion")
        criterion.check(Sample(**example["sample"]))
        assert example.get("person", criterion.scale.labels[0]) in criterion.scale.labels
        if not example["source"].startswith("Written for mene"):
            [row] = [row for row in rows if row["source"] == example["source"]]
            assert example["credit"]  # the licences ask for it
            assert example["sample"] == {field: row[field] for field in FIELDS if field in row}


def test_a_pasted_row_is_read_as_everywhere(url) -> None:
    row = {"user_input": "Why?", "actual_output": "Because.", "retrieval_context": ["x", "y"]}
    found = httpx.post(f"{url}/playground/sample", json={"row": row}).json()
    assert found["sample"] == {"instruction": "Why?", "response": "Because.", "context": "x\n\ny"}
    assert found["read_as"]["response"] == "actual_output"
    wrong = httpx.post(f"{url}/playground/sample", json={"row": {"response": {"choices": []}}})
    assert wrong.status_code == 422 and "response" in wrong.json()["error"]["message"]


def test_a_scale_is_read_as_everywhere(url) -> None:
    assert httpx.get(f"{url}/playground/scale?text=1-3").json()["labels"] == ["1", "2", "3"]
    wrong = httpx.get(f"{url}/playground/scale?text=5-1")
    assert wrong.status_code == 422 and "lowest" in wrong.json()["error"]["message"]


def test_files_need_no_key_and_the_rest_does() -> None:
    from tests.conftest import ToyEngine

    with running(Site(ToyEngine(), Keys([SECRET]))) as url:
        assert httpx.get(url).status_code == 200
        assert httpx.get(f"{url}/playground/main.js").status_code == 200
        assert httpx.get(f"{url}/playground/examples").status_code == 401
        assert httpx.post(f"{url}/playground/sample", json={"row": {}}).status_code == 401


# In a browser.


@pytest.fixture(scope="module")
def tab(chromium) -> Any:
    """One for all tests, which is faster."""
    tab = chromium.new_page()
    tab.set_default_timeout(TIMEOUT_MS)
    return tab


@pytest.fixture
def bare(tab, site) -> Iterator[Any]:
    """The tab, before it goes anywhere. Whatever it reports as an error fails the test."""
    said: list[str] = []

    def hear(told: Any) -> None:
        # A browser itself reports answers of 4xx and 5xx, and connections that fail.
        if told.type == "error" and "Failed to load resource" not in told.text:
            said.append(told.text)

    def wrong(error: Any) -> None:
        said.append(str(error))

    site.script = None
    tab.on("console", hear)
    tab.on("pageerror", wrong)
    yield tab
    tab.remove_listener("console", hear)
    tab.remove_listener("pageerror", wrong)
    site.script = None
    assert said == []


@pytest.fixture
def page(bare, url) -> Any:
    bare.goto(url)
    bare.wait_for_selector("#label-1")
    bare.wait_for_selector("body[data-ready]")
    return bare


def until(page: Any, selector: str, text: str) -> None:
    """Wait until an element says this. (``wait_for_function`` needs what the page's policy forbids.)"""
    for _ in range(TIMEOUT_MS // 20):
        if text in page.locator(selector).evaluate("one => one.value ?? one.textContent"):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{selector} never said {text}")


def becomes(page: Any, true: Callable[[], bool]) -> None:
    """Wait until something is true: the page answers a click when it has time."""
    for _ in range(TIMEOUT_MS // 20):
        if true():
            return
        page.wait_for_timeout(20)
    assert true()


def judged(page: Any, button: str = "#judge") -> str:
    """The label of the first card."""
    page.click(button)
    page.wait_for_selector(".card[aria-busy=false]")
    return page.inner_text(".verdict")


def test_an_example_is_judged(page) -> None:
    assert "diagnosis" in page.input_value("#question")
    label = judged(page)
    shares = [float(text.rstrip(" %")) for text in page.locator(".card .number").all_inner_texts()]
    assert label in ("Yes", "No") and sum(shares) == pytest.approx(100, abs=0.2)
    assert max(shares) == shares[["Yes", "No"].index(label)]
    facts = page.inner_text(".card dl")
    assert "from the cache" in facts and "at the judge" in facts and "Confidence" in facts
    page.click("text=The exact prompt")
    page.wait_for_selector(".prompt pre")
    prompt = page.inner_text(".prompt pre")
    assert page.input_value("#question") in prompt and "I moved into a new flat" in prompt


def test_the_layout_of_the_prompt_can_be_changed(page) -> None:
    page.select_option("#template-0", "tags")
    page.click("#prompt")
    page.wait_for_selector(".prompt pre")
    assert "<response>" in page.inner_text(".prompt pre")
    assert not page.locator(".verdict").count()


def test_a_criterion_of_ones_own(page) -> None:
    page.select_option("#criterion", "faithfulness")
    becomes(page, lambda: page.get_attribute("#question", "readonly") is not None)
    until(page, "#hint-context", "needed")
    page.click("#judge")
    until(page, "#status", "Fill in context.")
    page.click("#edit")
    becomes(page, lambda: page.input_value("#criterion") == "")
    becomes(page, lambda: page.get_attribute("#question", "readonly") is None)
    page.fill("#scale", "5-1")
    page.wait_for_selector("#scale[aria-invalid=true]")
    page.click("#judge")
    until(page, "#status", "lowest score comes first")
    page.fill("#scale", "1-4")
    page.wait_for_selector("#label-3")
    page.fill("#label-0", "bad")
    page.click("#judge")
    until(page, "#status", "Describe 2, 3, 4 too, or no label at all.")
    for i in (1, 2, 3):
        page.fill(f"#label-{i}", f"level {i}")
    assert judged(page) in "1234"
    assert re.search(r"Expected score \d\.\d\d, from 1 to 4", page.inner_text(".card"))


def test_pasted_json_finds_its_fields(page) -> None:
    page.click("#show-paste")
    page.fill("#paste", json.dumps({"user_input": "Why?", "actual_output": "So.", "extra": 1}))
    page.click("#read-paste")
    until(page, "#response", "So.")
    assert page.inner_text("#paste-said") == (
        "Found: instruction from “user_input”, response from “actual_output”."
    )
    pairs = [{"question": f"Q{i}", "response_1": "x", "response_2": "y"} for i in (1, 2)]
    page.fill("#paste", "\n".join(map(json.dumps, pairs)))
    page.click("#read-paste")
    page.wait_for_selector("#response_a:visible")
    page.select_option("#example", "pasted 1")
    until(page, "#instruction", "Q2")
    for text, said in (
        ("{oops", "This is no JSON"), ("[]", "There is no row"), ('{"foo": 1}', "No field that mene knows in: foo"),
        ('{"response": {"choices": []}}', "there is no answer in it"),
    ):  # fmt: skip
        page.fill("#paste", text)
        page.click("#read-paste")
        until(page, "#paste-said", said)
        assert page.get_attribute("#paste", "aria-invalid") == "true"


def test_what_the_page_shows_is_judged_also_at_once(page) -> None:
    """A scale is read a moment after it is typed; who does not wait for that gets it all the same."""
    at_once = """scale => {
        const box = document.querySelector("#scale");
        box.value = scale;
        box.dispatchEvent(new Event("input"));
        document.querySelector("#judge").click();
    }"""
    page.evaluate(at_once, "1-3")
    page.wait_for_selector(".card[aria-busy=false]")
    assert page.inner_text(".verdict") in ("1", "2", "3")
    assert page.locator(".card .number").count() == 3
    page.evaluate(at_once, "5-1")
    until(page, "#status", "lowest score comes first")


def test_the_row_that_was_chosen_last_is_shown(page) -> None:
    page.click("#show-paste")
    rows = [{"question": f"Q{i}", "answer": "x"} for i in range(3)]
    page.fill("#paste", json.dumps(rows))
    page.click("#read-paste")
    until(page, "#instruction", "Q0")
    held: list[Any] = []
    page.route("**/playground/sample", lambda route: held.append(route), times=1)
    page.select_option("#example", "pasted 1")
    becomes(page, lambda: bool(held))
    page.select_option("#example", "pasted 2")
    until(page, "#instruction", "Q2")
    with page.expect_response("**/playground/sample"):
        held[0].continue_()
    page.evaluate("fetch('/healthz').then((answer) => answer.text())")  # it has had its time
    assert page.input_value("#instruction") == "Q2"


def test_a_button_that_is_clicked_twice_says_again_what_it_does(page) -> None:
    said = page.text_content("#share")
    left = page.evaluate("""async () => {
        const [button, real, calls] = [document.querySelector("#share"), setTimeout, []];
        window.setTimeout = (call) => calls.push(call);
        for (const clicks of [1, 2]) {
            button.click();
            while (calls.length < clicks) await new Promise((on) => real(on, 5));
        }
        window.setTimeout = real;
        calls.forEach((call) => call());
        return button.textContent;
    }""")
    assert left == said


def test_two_judges_side_by_side_and_responses_exchanged(page) -> None:
    page.check("input[value=two]")
    page.wait_for_selector("#response_b:visible")
    page.fill("#instruction", "Say hello.")
    page.fill("#response_a", "Hello!")
    page.fill("#response_b", "No, and a good deal more words.")
    page.click("#exchange")
    becomes(page, lambda: page.input_value("#response_b") == "Hello!")
    page.check("#beside")
    becomes(page, lambda: page.input_value("#judge-1") == "nano")
    assert page.locator("#mode-1 option[value=critique]").is_disabled()  # nano writes none
    page.select_option("#compare-0", "together")
    page.click("#swap")
    page.wait_for_selector(".moved >> nth=1")
    assert page.locator(".card").count() == 4
    shown = page.locator(".moved").all_inner_texts()
    labels = page.locator(".verdict").all_inner_texts()
    assert ("stays" in shown[0]) == (labels[0] != labels[1])
    assert "the verdict stays" in shown[1]  # each alone: no order can sway it


def test_a_link_holds_everything(page, url) -> None:
    page.fill("#question", "Is it “kind”, ☾?")
    page.fill("#instruction", "héllo & <b>")
    page.select_option("#judge-0", "nano")
    page.select_option("#template-0", "lines")
    fields = ("question", "instruction", "response", "judge-0", "template-0", "label-1", "scale")
    before = [page.input_value(f"#{name}") for name in fields]
    page.click("#share")
    link = page.url
    assert "#1." in link
    page.goto(f"{url}/#")
    until(
        page, "#judge-0", "nano"
    )  # without a link, the first example by the judge that was chosen
    until(page, "#question", "diagnosis")
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("#label-1")
    assert [page.input_value(f"#{name}") for name in fields] == before
    page.goto(f"{url}/#1.b29wcw")
    page.wait_for_selector("#banner:visible")
    assert "damaged" in page.inner_text("#banner")
    until(page, "#question", "diagnosis")  # and one can go on


HTML = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def test_html_is_text_wherever_it_comes_from(page, url, site) -> None:
    bold = "<b>yes</b>"  # on a scale, a slash stands between labels
    state = {
        "sample": {"response": HTML, "instruction": HTML},
        "criterion": {"question": HTML, "scale": "<b>|<i>", "labels": {"<b>": HTML, "<i>": HTML}},
        "setups": [{"judge": HTML, "template": ""}],
    }
    page.goto(url + page.evaluate("text => '/#1.' + btoa(text)", json.dumps(state)))
    until(page, "#label-1", HTML)
    assert page.inner_text("#labels label >> nth=0") == "<b>"
    assert HTML in page.inner_text("#banner")
    said = {
        "label": HTML, "probabilities": {HTML: 0.9, bold: 0.1}, "critique": HTML, "notes": [HTML], "usage": {},
        "latency_s": 1, "confidence": 0.9,
    }  # fmt: skip
    site.script = events(("critique", {"text": HTML}), ("verdict", said), ("done", {}))
    assert judged(page) == HTML
    assert page.locator("main img, main script, main b, #banner img").count() == 0
    assert page.title() == "mene playground"


def test_code_to_copy_says_the_same(page) -> None:
    page.fill("#instruction", 'It\'s "so" \\ ☾\nand more')
    page.select_option("#mode-0", "explain")
    page.click("#copy summary")
    until(page, "#code", "and more")
    until(page, "#code", "judge.explain(")
    code = page.inner_text("#code")
    texts = {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)}
    assert {
        page.input_value(f"#{name}") for name in ("instruction", "response", "question")
    } <= texts
    assert 'Judge("base", mode="verdict")' in code and "judge.explain(" in code
    page.click("[data-code=curl]")
    words = shlex.split(page.inner_text("#code"))
    body = json.loads(words[words.index("-d") + 1])
    assert words[1].endswith("/v1/judge") and body["explain"] is True
    assert body["sample"]["instruction"] == page.input_value("#instruction")
    assert httpx.post(words[1], json=body).json()["verdicts"][0]["label"] in ("Yes", "No")
    page.click("[data-code=yaml]")
    own = parse_criterion(page.inner_text("#code"), "the page")
    assert own.question == page.input_value("#question")
    assert own.labels["No"] == page.input_value("#label-1")
    page.select_option("#criterion", "toxicity")
    code = page.inner_text("#code")
    assert parse_criterion(code, "the page") == criterion_of("toxicity", None)
    assert yaml.safe_load(code)["name"] == "toxicity"


def events(*said: tuple[str, Any], then: Any = None, pause: float = 0) -> Any:
    """Answers with these events; ``then`` is awaited with ``receive`` before the stream ends."""

    async def script(receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for name, data in said:
            line = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
            for part in (line[:9], line[9:]):  # the network cuts where it likes
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(pause)
        if then is not None:
            await then(receive)
        await send({"type": "http.response.body", "body": b""})

    return script


def test_a_slow_judge_is_watched_and_stopped(page, site) -> None:
    site.left.clear()

    async def until_they_go(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        site.left.set()

    site.script = events(("critique", {"text": "Slowly, "}), ("critique", {"text": "it says."}), then=until_they_go)  # fmt: skip
    page.click("#judge")
    until(page, ".critique", "Slowly, it says.")
    assert page.get_attribute(".card", "aria-busy") == "true"
    page.keyboard.press("Escape")
    page.wait_for_selector(".card[aria-busy=false]")
    assert site.left.wait(5)  # the server knows, and can free the place
    until(page, "#status", "Stopped.")
    becomes(page, lambda: not page.is_visible("#stop"))
    assert "Stopped before the verdict." in page.inner_text(".card")
    assert "it says." in page.inner_text(".card")  # what was written stays
    site.script = None
    assert judged(page) in ("Yes", "No")


def answering(status: int, body: bytes, **headers: str) -> Any:
    async def script(receive: Any, send: Any) -> None:
        await receive()
        named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": body})

    return script


ERRORS = {
    "busy": (answering(429, b"{}", retry_after="7"), "there is room again in about 7 s"),
    "a proxy's page": (answering(502, b"<h1>Bad gateway</h1>"), "answered 502 and did not say why"),
    "not a stream": (answering(200, b"{}", content_type="application/json"), "no stream of events"),
    "its own words": (answering(422, b'{"error": {"message": "say <i>what</i>"}}'), "say <i>what</i>"),
    "broken off": (events(("critique", {"text": "It is"})), "broke off before the verdict"),
    "time is over": (events(("error", {"message": "no answer within 5 s"})), "no answer within 5 s"),
    "a verdict's error": (events(("verdict", {"error": "too long"}), ("done", {})), "too long"),
}  # fmt: skip


def test_a_broken_server_is_shown_and_tried_again(page, site, url) -> None:
    for name, (script, said) in ERRORS.items():
        site.script = script
        page.click("#judge")
        page.wait_for_selector(".card[aria-busy=false]")
        assert said in page.inner_text(".card [role=alert]"), name
        assert page.is_visible("#banner") == (name != "a verdict's error"), name
    page.route("**/v1/judge", lambda route: route.abort())
    page.click("#judge")
    page.wait_for_selector(".card[aria-busy=false]")
    assert "Is `mene serve` still running?" in page.inner_text("#banner")
    page.unroute("**/v1/judge")
    site.script = None
    assert judged(page, "#again") in ("Yes", "No")
    assert not page.is_visible("#banner")


def test_a_server_that_is_not_there_yet(bare, url) -> None:
    bare.route("**/v1/judges", lambda route: route.abort())
    bare.goto(url)
    bare.wait_for_selector("#banner:visible")
    bare.unroute("**/v1/judges")
    bare.click("#again")
    bare.wait_for_selector("#label-1")
    assert not bare.is_visible("#banner")


def test_a_key_is_asked_for(bare) -> None:
    from tests.conftest import ToyEngine

    page = bare
    with running(Site(ToyEngine(), Keys([SECRET]))) as url:
        page.goto(url)
        page.wait_for_selector("#key:visible")
        assert "API key" in page.inner_text("#banner")
        page.fill("#key", "another-key")
        page.keyboard.press("Enter")
        until(page, "#banner", "not known")
        page.fill("#key", SECRET)
        page.keyboard.press("Enter")
        page.wait_for_selector("#label-1")
        assert judged(page) in ("Yes", "No")
        page.click("#share")
        assert SECRET not in page.url
        page.click("#copy summary")
        page.click("[data-code=curl]")
        assert SECRET not in page.inner_text("#code") and "$MENE_API_KEY" in page.inner_text(
            "#code"
        )


def test_with_the_keyboard_as_one_types_and_by_ear(page) -> None:
    page.check("#beside")
    page.click("#copy summary")
    page.click("#show-paste")
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, select, textarea")]
        .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim())).map((one) => one.id)""")
    assert nameless == []
    assert page.evaluate(
        "[...document.querySelectorAll('[tabindex]')].every((one) => one.tabIndex <= 0)"
    )
    page.uncheck("#beside")
    page.focus("#response")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".card[aria-busy=false]")
    assert re.fullmatch(r"(Yes|No), \d+\.\d %", page.text_content("#status"))
    page.check("#live")
    page.evaluate("document.querySelector('#cards').replaceChildren()")
    page.focus("#response")
    page.keyboard.type("More.")
    page.wait_for_selector(".card[aria-busy=false]")


def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(page) -> None:
    page.fill("#instruction", "word" * 200)
    page.check("input[value=two]")
    page.wait_for_selector("#swap:visible")
    page.check("#beside")
    grounds = set()
    for scheme, width in (
        ("light", 360),
        ("dark", 360),
        ("dark", 768),
        ("dark", 1100),
        ("dark", 1600),
    ):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#judge").bounding_box()["y"] < 740  # at hand without scrolling
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
