"""The arena's pages, used by a real Chromium as a voter would; and without one, what their files hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn", reason='needs pip install "mene[arena]"')

from mene.arena.moderation import left_out
from mene.arena.pages_api import FOLDER, PAGES, SHARED
from mene.arena.pages_api import page as page_of
from mene.arena.samples import Samples, bundled
from mene.arena.state import Arena
from mene.serve import playground_api
from tests.arena.fought import ADMIN, NAMES, arena_of, running
from tests.serve.served import PlayedEngine

TIMEOUT_MS = 20_000
HTML = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


# Without a browser.


def test_pages_are_made_of_their_own_files_and_texts_alone() -> None:
    files = {f"/arena/{path.name}" for path in FOLDER.iterdir()}
    files |= {f"/playground/{name}" for name in SHARED}
    for name in PAGES:
        text = page_of(name)
        assert text.startswith("<!doctype html>") and "{{" not in text and "{%" not in text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?:", text)
        for file in re.findall(r'(?:src|href)="(/(?:arena|playground)/[^"]+)"', text):
            assert file in files, f"{name}: {file}"
    own = [(path, "/arena") for path in FOLDER.glob("*.js")]
    shared = [
        (playground_api.PARTS / name, "/playground") for name in SHARED if name.endswith(".js")
    ]
    for path, home in own + shared:
        code = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|https?:"
        assert not re.search(forbidden, code), path.name
        for name in re.findall(r'from "([^"]+)"', code):
            name = f"{home}{name[1:]}" if name.startswith("./") else name
            assert name in files, f"{path.name}: {name}"


# In a browser.


@pytest.fixture(scope="module")
def arena(tmp_path_factory) -> Iterator[Arena]:
    database = tmp_path_factory.mktemp("arena") / "arena.db"
    made = arena_of(database, {name: PlayedEngine() for name in NAMES})
    made.samples = Samples([row for row in bundled() if row.sample.response])  # a draw is no pair
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def url(arena) -> Iterator[str]:
    with running(arena) as url:
        yield url


@contextmanager
def visited(chromium: Any, url: str) -> Iterator[Any]:
    """The page in a browser that was never here. Whatever it reports as an error fails the test."""
    said: list[str] = []
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "console",
        lambda told: (
            said.append(told.text)
            if told.type == "error" and "Failed to load" not in told.text
            else None
        ),
    )
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    yield page
    context.close()
    assert said == []


@pytest.fixture
def page(chromium, url) -> Iterator[Any]:
    with visited(chromium, url) as page:
        yield page


@pytest.fixture(scope="module")
def voter(chromium, url) -> Iterator[Any]:
    """The page of a voter who has voted once; the tests from the leaderboard's on share it."""
    with visited(chromium, url) as page:
        agree(page)
        page.click("#run")
        page.wait_for_selector("#vote:visible")
        page.click("[data-choice=a]")
        page.wait_for_selector("#outcome:visible")
        yield page


def becomes(page: Any, true: Callable[[], bool]) -> None:
    for _ in range(TIMEOUT_MS // 20):
        if true():
            return
        page.wait_for_timeout(20)
    assert true()


def agree(page: Any) -> None:
    page.click("#agree button")
    page.wait_for_selector("#agree", state="hidden")


def test_a_vote_with_the_keyboard_alone(page, arena) -> None:
    page.keyboard.press("Control+Enter")
    becomes(page, lambda: "Agree to the terms" in page.inner_text("#status"))
    page.keyboard.press("Enter")  # the button has the focus
    page.wait_for_selector("#agree", state="hidden")
    page.keyboard.press("d")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#vote:visible")
    shown = page.content()
    assert not any(f">{name}<" in shown or f": {name}" in shown for name in NAMES)
    assert page.locator(".seat .bars").count() == 0  # probabilities come with the names
    page.click("#own input >> nth=0")
    page.fill("#reason", "2 of 4")  # digits in a text are no votes
    page.focus("#reason")
    page.keyboard.type("1")
    assert page.is_visible("#vote")
    page.check("#consent")
    page.focus("#battle")
    page.keyboard.press("4")
    page.wait_for_selector("#outcome:visible")
    vote = list(arena.store.votes())[-1]
    assert (vote.choice, vote.reason, vote.consent) == ("b", "2 of 41", True) and vote.label
    kept = arena.store.battle(vote.battle)
    for seat, name in enumerate((kept.a.judge, kept.b.judge)):
        assert name in page.inner_text(f".seat >> nth={seat} >> h3")
    assert page.evaluate("document.activeElement.id") == "outcome"  # read out by a screen reader
    assert "You chose B" in page.inner_text("#outcome")
    before = {kept.a.judge, kept.b.judge}
    page.keyboard.press("r")
    page.wait_for_selector("#vote:visible")
    page.click("#skip")
    page.wait_for_selector("#compose:visible")
    page.wait_for_timeout(200)  # another sample is drawn
    page.click("#run")
    page.wait_for_selector("#vote:visible")
    page.click("[data-choice=tie]")
    page.wait_for_selector("#outcome:visible")
    kept = arena.store.battle(list(arena.store.votes())[-1].battle)
    before = {kept.a.judge, kept.b.judge}
    page.keyboard.press("r")
    page.wait_for_selector("#vote:visible")
    again = list(arena.store.battles())[-1]
    assert {again.a.judge, again.b.judge} != before and again.sample == kept.sample
    page.click("[data-choice=tie]")
    page.wait_for_selector("#outcome:visible")
    page.keyboard.press("n")
    page.wait_for_selector("#compose:visible")
    page.uncheck("#shortcuts") if page.is_visible("#shortcuts") else page.click("#keys summary")
    page.uncheck("#shortcuts")
    source = page.inner_text("#source")
    page.focus("#battle")
    page.keyboard.press("d")
    page.wait_for_timeout(200)
    assert page.inner_text("#source") == source


def test_a_battle_waits_for_the_sample_that_was_asked_for(page, arena) -> None:
    """It is about what the page shows, and the labels to vote with are its criterion's."""
    agree(page)
    drawn: list[Any] = []

    def late(route: Any) -> None:
        page.wait_for_timeout(300)
        response = route.fetch()
        drawn.append(response.json())
        route.fulfill(response=response)

    page.route("**/api/samples/random*", late)
    page.focus("#battle")
    page.keyboard.press("d")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")  # while it waits
    page.wait_for_selector("#vote:visible")
    battle = list(arena.store.battles())[-1]
    assert len(drawn) == 1 and battle.sample.response == drawn[0]["sample"]["response"]
    labels = page.locator("#own input").evaluate_all("inputs => inputs.map(one => one.value)")
    assert labels == list(battle.criterion.scale.labels)


def test_ones_own_sample_and_criterion_and_html_is_text(page, arena) -> None:
    agree(page)
    page.click("#clear")
    becomes(page, lambda: page.input_value("#response") == "")
    page.click("#run")
    becomes(page, lambda: "Fill in" in page.inner_text("#status"))
    page.select_option("#criterion", "")
    page.fill("#question", f"Is it kind? {HTML}")
    page.fill("#scale", "<b>|<i>")
    becomes(page, lambda: "<b>" in page.text_content("#labels"))  # the server has read the scale
    page.fill("#response", HTML)
    page.click("#run")
    page.wait_for_selector("#vote:visible")
    assert HTML in page.inner_text("#shown")
    assert page.locator("main img, main script, main b, main i").count() == 0
    page.click("[data-choice=both_bad]")
    page.wait_for_selector("#outcome:visible")
    assert page.title() == "mene arena"
    kept = arena.store.battle(list(arena.store.votes())[-1].battle)
    assert kept.source == "typed" and kept.sample.response == HTML


def test_a_pair_is_pasted(page, arena) -> None:
    agree(page)
    page.select_option(
        "#criterion", "faithfulness"
    )  # the sample drawn first may have a question of its own
    page.click("#show-paste")
    page.fill("#paste", '{"question": "Q", "answer_a": "one", "answer_b": "two"}')
    page.click("#read-paste")
    becomes(page, lambda: page.input_value("#response_b") == "two")
    page.wait_for_selector("#response_b:visible")
    becomes(page, lambda: page.input_value("#criterion") == "preference")
    page.click("#run")
    page.wait_for_selector("#vote:visible")
    assert page.inner_text(".verdict >> nth=0") in ("Response A", "Response B")  # not a seat's name
    kept = list(arena.store.battles())[-1]
    assert (kept.sample.response_a, kept.sample.response_b) == ("one", "two")
    assert kept.criterion.name == "preference"


def test_a_judge_that_fails_and_a_stop(page, arena) -> None:
    agree(page)
    for engine in (
        arena.serving.judges.desks[name].base.engine for name in arena.serving.judges.desks
    ):
        engine.open.clear()
    page.click("#run")
    becomes(page, lambda: arena.fighting.total() == 1)
    page.keyboard.press("Escape")
    becomes(page, lambda: "no vote" in page.inner_text("#status"))
    assert not page.is_visible("#vote")
    becomes(page, lambda: not arena.works)
    for desk in arena.serving.judges.desks.values():
        desk.base.engine.open.set()
        desk.base.engine.fails_on = "fail on this"
    page.click("#change")
    page.fill("#response", "fail on this")
    page.click("#run")
    becomes(page, lambda: "could not answer" in page.inner_text("#status"))
    assert page.is_visible("#regenerate") and not page.is_visible("#vote")
    for name in NAMES:
        arena.down.worked(name)


def test_a_battle_outlives_a_reload(page, arena) -> None:
    agree(page)
    page.fill("#response", f"Reloaded. {HTML}")
    page.click("#run")
    page.wait_for_selector("#vote:visible")
    before = page.inner_text("#seats"), page.inner_text("#shown"), page.inner_text("#own")
    page.reload()
    page.wait_for_selector("#vote:visible")
    after = page.inner_text("#seats"), page.inner_text("#shown"), page.inner_text("#own")
    assert after == before and "Reloaded" in after[1]
    assert page.locator(".seat .bars").count() == 0
    assert not any(f">{name}<" in page.content() for name in NAMES)  # blind as before
    page.keyboard.press("2")
    page.wait_for_selector("#outcome:visible")
    assert list(arena.store.votes())[-1].choice == "tie"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.is_visible("#compose") and "Reloaded" not in page.input_value("#response")
    # One that breaks off by it has no vote; what was typed is not lost.
    page.fill("#response", "Half a battle.")
    engines = [desk.base.engine for desk in arena.serving.judges.desks.values()]
    for engine in engines:
        engine.open.clear()
    page.click("#run")
    becomes(page, lambda: page.evaluate("sessionStorage.getItem('mene-battle')"))
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert "ended without a vote" in page.inner_text("#status")
    assert page.input_value("#response") == "Half a battle." and page.is_visible("#compose")
    becomes(page, lambda: not arena.works)
    for engine in engines:
        engine.open.set()


def test_the_leaderboard_its_filters_and_its_card(voter, url) -> None:
    voter.goto(f"{url}/leaderboard")
    voter.wait_for_selector("body[data-ready]")
    rows = voter.locator("table.board >> nth=0 >> tbody tr")
    assert rows.count() >= 2 and "preliminary" in rows.first.inner_text()
    becomes(voter, lambda: voter.locator("#card").evaluate("one => one.naturalWidth") > 0)
    voter.uncheck("input[name=preliminary]")
    becomes(voter, lambda: "Only preliminary" in voter.inner_text("table.board >> nth=0"))
    voter.select_option("select[name=criterion]", "tone")
    # no votes by it, as the server says
    becomes(voter, lambda: "tone" in voter.inner_text("#banner"))
    assert httpx.get(f"{url}/api/board?kind=nothing").status_code == 422
    assert httpx.get(f"{url}/api/board?color=red").status_code == 422


def test_moderation_in_the_page(voter, url, arena) -> None:
    id = list(arena.store.votes())[-1].battle
    voter.goto(f"{url}/admin")
    voter.fill("#key", "another-key")
    voter.keyboard.press("Enter")
    becomes(voter, lambda: "not known" in voter.inner_text("#banner"))
    voter.fill("#key", ADMIN)
    voter.keyboard.press("Enter")
    voter.wait_for_selector("#now:visible")
    voter.fill("#target", id)
    voter.click("#look")
    becomes(voter, lambda: "Voted " in voter.inner_text("#looked"))
    voter.fill("#why", f"a test of the page {HTML}")
    voter.click("#decide button.main")
    becomes(voter, lambda: "a test of the page" in voter.inner_text("#log"))
    assert HTML in voter.inner_text("#log") and voter.locator("main img, main script").count() == 0
    assert id in left_out(arena.store)[0]


def test_it_fits_a_phone_and_a_desk_by_day_and_by_night_and_can_be_heard(voter, url) -> None:
    for path in ("/", "/leaderboard", "/terms", "/admin"):
        voter.goto(url + path)
        voter.wait_for_timeout(150)
        if path == "/":
            voter.wait_for_selector("body[data-ready]")
            voter.click("#run")
            voter.wait_for_selector("#vote:visible")
        grounds = set()
        for scheme, width in (("light", 360), ("dark", 390), ("dark", 1400)):
            voter.emulate_media(color_scheme=scheme)
            voter.set_viewport_size({"width": width, "height": 740})
            assert voter.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            grounds.add(voter.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        nameless = voter.evaluate("""() => [...document.querySelectorAll("button, input, select, textarea")]
            .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim())).map((one) => one.id)""")
        assert nameless == []
        assert voter.evaluate(
            "[...document.querySelectorAll('[tabindex]')].every((one) => one.tabIndex <= 0)"
        )


def test_my_votes_are_deleted_from_the_page(voter, url, arena) -> None:
    before = len(list(arena.store.votes()))
    voter.goto(f"{url}/terms")
    voter.click("#delete")
    voter.click("#really")
    becomes(voter, lambda: "gone" in voter.inner_text("#said"))
    assert len(list(arena.store.votes())) == before - 1
    voter.click("text=Battle")
    voter.wait_for_selector("#agree:visible")


def test_pages_know_the_folder(url) -> None:
    assert Path(FOLDER).is_dir()
    for path in ("/", "/leaderboard", "/terms", "/admin"):
        answer = httpx.get(url + path)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
