"""The report page: safe with any text, honest in its sentences, and quick."""

from __future__ import annotations

import re
import time
import warnings
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mene.judge.combine import SAME_TEXT
from mene.report import render, summarise
from mene.sample import Sample
from mene.stats.columns import guess_scale
from mene.verdict import Usage, Verdict

WHEN = datetime(2026, 1, 5, 9, 30)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'></div>{{ 7*7 }}"
DATA = '<script type="application/json" id="rows-data">'


def verdict(i: int = 0, label: str | None = "Yes", p: float | None = 0.8, **more) -> Verdict:
    other = {"Yes": "No", "No": "Yes", "A": "B", "B": "A"}.get(label or "", "No")
    odds = None
    if label is not None and p is not None:
        odds = dict(sorted({label: p, other: 1 - p}.items(), key=lambda x: x[0] not in "YesA"))
    base = {
        "id": f"r{i}",
        "criterion": "polite",
        "judge": "nano",
        "label": label,
        "probabilities": odds,
        "confidence": p if odds else None,
        "error": None if label else "too long",
        "latency_s": 0.5,
        "usage": Usage(prompt_tokens=100, cached_tokens=40, completion_tokens=7),
    }
    return Verdict(**(base | more))


class Tags(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    VOID = frozenset({"meta", "input", "br", "line", "circle", "rect", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def words(page: str) -> str:
    body = page.split("</style>")[1].split("<script>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_untrusted_text_is_escaped():
    bad = verdict(critique=EVIL, id=EVIL, criterion=EVIL, judge=EVIL, notes=[EVIL])
    odd = verdict(1, label=EVIL, p=None, parts=[verdict(critique=EVIL)], judge=EVIL, criterion=EVIL)
    failed = verdict(2, label=None, error=EVIL, judge=EVIL, criterion=EVIL)
    texts = {
        EVIL: Sample(instruction=EVIL, response=EVIL, context=EVIL),
        "r1": Sample(response_a=EVIL, response_b=EVIL),
    }
    page = render([bad, odd, failed], {EVIL: EVIL, "r1": "Yes"}, texts, EVIL, when=WHEN)
    assert re.findall("<script[^>]*>", page) == [
        "<script>",
        DATA,
    ]  # the page's own, and JSON, which is never run
    assert "<img" not in page and "<alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    found = Tags(page)
    assert not [a for a in found.attributes if a[1].startswith("on")]
    assert "{{ 7*7 }}" in page


def test_page_loads_nothing():
    rows = [verdict(i, critique="see https://example.org/x.png") for i in range(3)]
    page = render(rows, {"r0": "Yes"}, {"r0": Sample(response="http://example.org")}, when=WHEN)
    assert "default-src 'none'" in page
    loads = [
        a for a in Tags(page).attributes if a[1] in ("src", "href", "srcset", "data", "action")
    ]
    assert all(value.startswith("#") for _, _, value in loads)
    texts = rf'<div class="body".*?</div>|<span class="gist".*?</span>|{DATA}.*?</script>'
    frame = re.sub(texts, "", page, flags=re.S)
    assert "http://" not in frame and "https://" not in frame
    assert "url(" not in page and "@import" not in page


def test_script_is_the_one_the_page_allows():
    import base64
    import hashlib

    page = render([verdict()], when=WHEN)
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_empty_file():
    page = render([], title="Nothing", when=WHEN)
    assert "There are no verdicts in this file." in page
    assert "5 January 2026, 09:30 · 0 rows" in words(page)
    Tags(page)


def test_all_rows_failed():
    rows = [verdict(i, label=None) for i in range(3)]
    assert "All 3 rows failed" in words(render(rows, when=WHEN))
    scored = render(rows, {"r0": "Yes", "r1": "No", "r2": "No"}, when=WHEN)
    Tags(scored)
    assert "too long" in scored and not re.search(r"\bnan\b", words(scored))


def test_one_row():
    page = render([verdict()], {"r0": "Yes"}, {"r0": Sample(response="Thank you!")}, when=WHEN)
    Tags(page)
    said = words(page)
    assert "Thank you!" in said
    assert "Too few rows to compare it with always answering “Yes”" in said
    assert not re.search(r"\bnan\b|None", said)


def test_no_probabilities():
    rows = [verdict(i, label="Yes" if i % 2 else "No", p=None) for i in range(10)]
    said = words(render(rows, {f"r{i}": "Yes" if i % 2 else "No" for i in range(10)}, when=WHEN))
    assert "Mean confidence" not in said and "Does it know" not in said
    assert "Agrees with the gold label on 100.0% of 10 rows" in said


def test_pairs_in_both_orders():
    rows = [verdict(i, label="AB"[i % 2], consistent=i % 4 != 0) for i in range(40)]
    texts = {f"r{i}": Sample(response_a="a" * (i + 1), response_b="b" * 20) for i in range(40)}
    golds = {f"r{i}": "AB"[i % 2] for i in range(40)}
    page = render(rows, golds, texts, when=WHEN)
    Tags(page)
    said = words(page)
    assert "Orders agree 75.0% of 40 pairs" in said
    assert "always the longer response" in said
    assert summarise(rows, golds, texts)[0].scale.kind == "pairwise"


def test_pairs_of_one_text_are_neither_right_nor_wrong() -> None:
    even = [verdict(i, "A", 0.5, notes=[SAME_TEXT]) for i in range(10)]
    golds = {f"r{i}": "A" if i % 2 else "B" for i in range(16)}
    [section] = summarise(even, golds)
    assert section.agreement is None
    assert (section.even, section.off_scale, section.disagreements) == (10, 0, ())
    [section] = summarise([*even, *(verdict(i, "A", 0.9) for i in range(10, 16))], golds)
    assert section.agreement is not None
    assert (section.agreement.n, section.agreement.accuracy.value) == (6, 0.5)
    assert len(section.disagreements) == 3


def test_without_gold_labels_nothing_is_claimed():
    said = words(render([verdict(i) for i in range(4)], when=WHEN))
    assert "how far to trust this judge is not known" in said
    assert "Accuracy" not in said


def test_constant_judge_is_called_what_it_is():
    golds = {f"r{i}": "No" if i % 5 == 0 else "Yes" for i in range(100)}
    said = words(render([verdict(i) for i in range(100)], golds, when=WHEN))
    assert (
        "These rows do not show that it is better than always answering “Yes”, which reaches 80.0%"
        in said
    )
    assert "the judge shows no skill" in said


def test_failures_alone_have_no_accuracy():
    rows = [verdict(i, label=None, criterion="faithfulness") for i in range(12)]
    said = words(render(rows, {f"r{i}": "Yes" for i in range(12)}, when=WHEN))
    assert "Accuracy" not in said and "0.0%" not in said


def test_failed_rows_are_named_next_to_the_accuracy():
    rows = [verdict(i, label=None if i < 3 else "Yes") for i in range(40)]
    page = render(rows, {f"r{i}": "Yes" for i in range(40)}, when=WHEN)
    assert "3 failed rows count as wrong." in page
    assert "92.5%" in page


def test_every_judge_has_its_section():
    rows = [verdict(i, judge=f"judge{i % 2}", criterion=f"c{i % 3}") for i in range(12)]
    sections = summarise(iter(rows))
    assert len(sections) == 6 and sum(s.rows for s in sections) == 12
    assert (sections[0].criterion, sections[0].judge) == ("c0", "judge0")
    assert "6 sections" in words(render(rows, when=WHEN))


def test_ordinal_scores_and_documents():
    rng = np.random.default_rng(0)
    rows, golds, texts = [], {}, {}
    for i in range(100):
        p = dict(zip("12345", rng.dirichlet(np.ones(5)).tolist(), strict=True))
        label = max(p, key=lambda k: p[k])
        score = sum(float(k) * v for k, v in p.items())
        odds = {"probabilities": p, "confidence": p[label], "score": score}
        rows.append(verdict(i, label=label, **odds))
        golds[f"r{i}"] = min(5.0, float(label) + 0.4 * (i % 2))
        texts[f"r{i}"] = Sample(response="x", context=f"document {i // 10}")
    (found,) = summarise(rows, golds, texts)
    assert found.scale.labels == tuple("12345")
    assert found.agreement.documents == 10
    assert found.agreement.rounded > 20
    assert found.agreement.accuracy.value == 1
    assert found.disagreements == ()
    assert found.mean_score == pytest.approx(np.mean([r.score for r in rows]))
    said = words(render(rows, golds, texts, when=WHEN))
    assert "Pearson r" in said and "correlate with the gold" in said


def test_tables_hold_the_most_telling_rows():
    rows = [verdict(i, p=0.5 + i / 1000, latency_s=i / 10) for i in range(200)]
    golds = {f"r{i}": "No" if i % 2 else "Yes" for i in range(200)}
    (found,) = summarise(rows, golds)
    assert [r.verdict.id for r in found.least_certain[:2]] == ["r0", "r1"]
    assert [r.verdict.id for r in found.slowest[:2]] == ["r199", "r198"]
    assert [r.verdict.id for r in found.disagreements[:2]] == ["r199", "r197"]
    assert len(found.slowest) == 50
    assert sum(b.right + b.wrong + b.open for b in found.confidence) == 200


def test_gold_labels_off_the_scale_are_reported():
    rows = [verdict(i, label="AB"[i % 2]) for i in range(30)]
    golds = {f"r{i}": "tie" if i < 10 else "AB"[i % 2] for i in range(30)}
    page = render(rows, golds, when=WHEN)
    assert "10 gold labels are not on this scale and not scored." in page
    nothing = words(render(rows, dict.fromkeys(golds, "7"), when=WHEN))
    assert "No gold label is on this scale" in nothing


@pytest.mark.parametrize(
    ("named", "seen", "golds", "kind", "labels"),
    [
        (["Yes", "No"], ["No"], [], "nominal", "Yes No"),
        (["1", "2", "3"], ["3"], [1.5], "ordinal", "1 2 3"),
        (["10", "9", "8"], [], [], "ordinal", "8 9 10"),
        ([], ["2", "4"], [4.67, 1], "ordinal", "1 2 3 4 5"),
        ([], ["0", "100"], [50], "ordinal", "0 100"),
        ([], ["B"], ["A", "tie"], "pairwise", "A B tie"),
        (["A", "B"], ["A"], ["tie"], "pairwise", "A B"),
        ([], ["good"], ["Bad", "GOOD"], "nominal", "good Bad"),
        ([], ["3"], [], "ordinal", "3 4"),
        ([], ["No", "Yes"], ["True", "FALSE", True], "nominal", "No Yes"),
        ([], ["True", "unknown"], [False, True], "nominal", "True unknown False"),
    ],
)
def test_scale_is_read_off_the_verdicts(named, seen, golds, kind, labels):
    scale = guess_scale(named, seen, golds)
    assert (scale.kind, " ".join(scale.labels)) == (kind, labels)


def test_no_scale_without_labels():
    assert guess_scale([], [], []) is None


def test_long_texts_are_cut():
    page = render([verdict(critique="x" * 50_000)], when=WHEN)
    assert "[44,000 more characters]" in page
    assert len(page) < 60_000


def test_five_thousand_rows_are_quick():
    rng = np.random.default_rng(1)
    rows = [verdict(i, p=p, critique="Because.") for i, p in enumerate(rng.uniform(0.5, 1, 5000))]
    golds = {f"r{i}": "Yes" if rng.random() < 0.8 else "No" for i in range(5000)}
    start = time.process_time()
    page = render(iter(rows), golds, when=WHEN)
    assert time.process_time() - start < 15  # about 1 s
    assert len(page) < 1_000_000


any_text = st.text(max_size=12)
odds = st.dictionaries(st.sampled_from(["1", "2", "A", "B", "x"]), st.floats(), max_size=4)
any_verdict = st.builds(
    Verdict,
    id=st.sampled_from(["a", "b", "c"]),
    criterion=st.sampled_from(["c", "d"]),
    judge=any_text,
    label=st.none() | st.sampled_from(["1", "2", "A", "B", "yes"]),
    score=st.none() | st.floats(),
    probabilities=st.none() | odds,
    confidence=st.none() | st.floats(),
    critique=st.none() | any_text,
    error=st.none() | any_text,
    latency_s=st.floats(),
    consistent=st.none() | st.booleans(),
    notes=st.lists(any_text, max_size=2),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(any_verdict, max_size=6),
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "A", "yes", 2, 1.5, True, None])
    ),
)
def test_any_verdicts_give_a_page(verdicts, golds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = render(verdicts, golds, {"a": Sample(response="x", context="y")}, when=WHEN)
    Tags(page)
    assert not re.search(r'="-?(nan|inf)', page)


def test_the_confusion_matrix_has_a_cell_for_every_pair_of_labels() -> None:
    """Every row of it was once shown with the other rows' cells, and the last with none."""
    given = [("a", "Yes"), ("b", "No"), ("c", "No")]
    verdicts = [
        Verdict(id=i, criterion="c", judge="j", label=label, probabilities={"Yes": 0.5, "No": 0.5})
        for i, label in given
    ]
    page = render(verdicts, {"a": "Yes", "b": "Yes", "c": "No"})
    cells = [int(n) for n in re.findall(r'<td class="(?:hit|miss)"[^>]*><b>(\d+)</b>', page)]
    assert cells == [1, 1, 0, 1]
