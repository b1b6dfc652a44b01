"""The page itself: escaping, no network, accessible names, empty sections, helpers of its texts."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.asking import literal, spelled_out
from pipeline.report.content import (
    Answer,
    Bar,
    Box,
    Card,
    Check,
    Coverage,
    Drift,
    GarmentLine,
    Head,
    Headline,
    IndexFacts,
    Look,
    Model,
    Models,
    Page,
    Photo,
    Query,
    Reason,
    Reject,
    RunLine,
    Section,
    Step,
    Variant,
)
from pipeline.report.figures import Line, Point, labels_of, lines, trend
from pipeline.report.page import count, percent, render_index, render_page, seconds, with_code
from pipeline.report.swatches import HEX, swatch_class, swatch_style
from pipeline.report.texts import clip

PIXEL = "data:image/jpeg;base64,/9j/4AAQ"
NIGHT = datetime(2026, 11, 23, 2, tzinfo=UTC)
SECTIONS = ("numbers", "time", "quarantine", "gallery", "look", "labels", "drift", "index", "models", "checks")


class Reader(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    @classmethod
    def of(cls, html: bytes) -> "Reader":
        reader = cls()
        reader.feed(html.decode())
        return reader

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def card(word: str) -> Card:
    return Card(
        photo=Photo(word, PIXEL, 100, 80, boxes=(Box(1, 5, 5, 50, 60, True), Box(2, 60, 60, 6, 6, False))),
        caption=word,
        caption_score=0.5,
        answers=(Answer(word, word, 0.9), Answer("brand", None, 0.3)),
        garments=(GarmentLine(1, word, 0.9, word, 0.8, True), GarmentLine(2, "bag", 0.5, None, 0.2, False)),
        color_label=word,
        color_score=0.6,
        color_measured=word,
        color_measured_share=0.4,
        color_agrees=False,
        title=word,
        variants=(Variant(Photo(word, PIXEL, 10, 10), word), Variant(Photo(word, missing=word), word)),
        why=word,
    )


def page(word: str = "word") -> Page:
    """A page with every kind of content; `word` stands wherever data comes in."""
    figure = trend([Point(NIGHT, 0.9), Point(NIGHT, 0.95)], word, gate=0.9)
    epochs = [1, 2, 3]
    curve = lines([Line(word, epochs, [3.0, 2.0, 1.5]), Line(f"{word} 2", epochs, [3.0, 2.5, 2.0])], f"{word} curve")
    drift = lines([Line(word, epochs, [0.2, 0.4, 1.5])], f"{word} drift", gate=1.0)
    bar = Bar(word, 0.5, word, mark=0.7)
    other = trend([Point(NIGHT, 0.8), Point(NIGHT, 0.7)], f"{word} of the index")
    return Page(
        run_id=word,
        title=word,
        summary=word,
        alert=word,
        made_at=word,
        steps=(Step(word, word, (word, word), "bad"), Step(word, word, (word,))),
        coverage=Coverage(10, 7, 2, 1),
        headlines=(Headline(word, word, word, "warn"),),
        facts=((word, word),),
        time_bars=(Bar(word, 1.0, word), Bar(word, 0.5, word, indent=True)),
        time_note=word,
        rate_trend=figure,
        reasons=(
            Reason(
                word,
                9,
                1,
                True,
                (
                    Reject(Photo(word, PIXEL, 10, 10), word, word),
                    Reject(Photo(word, missing=word), word, ""),
                ),
            ),
        ),
        gallery=(card(word),),
        gallery_words=word,
        looks=(Look(word, word, 3, (card(word),)),),
        heads=(Head("color", word, (Bar(word, 1.0, word, swatch=True),)),),
        drift=Drift(word, (word,), (Bar(word, 1.0, word, "bad", mark=0.5),), (Head(word, word, (bar,)),), drift),
        models=Models(word, True, (Model(word, word, ((word, word),), (curve,)),)),
        index=IndexFacts(word, True, 0.9, word, 0.9, (Bar(word, 0.9, word, mark=0.9),), other),
        checks=(Check(word, "blocking", word, 3, (word,), Query(word, word)), Check(word, "passed", word, 0, ())),
        sections={name: Section((Query(word, word),), "") for name in SECTIONS},
        snapshot=3,
    )


def empty_page() -> Page:
    return replace(
        page(),
        coverage=Coverage(0, 0, 0, 0),
        time_bars=(),
        time_note="",
        rate_trend=None,
        reasons=(),
        gallery=(),
        looks=(),
        heads=(),
        drift=None,
        index=None,
        models=None,
        steps=(),
        checks=(),
        sections={name: Section((), f"nothing for {name}") for name in SECTIONS},
        snapshot=None,
    )


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "red;background:url(https://evil.example/x)",
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% raw %}",
    "]]></svg><script>alert(1)</script>",
)


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_data_stays_text(word):
    reader = Reader.of(render_page(page(word)))
    harmless = Reader.of(render_page(page("word")))
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in harmless.tags]
    assert [sorted(a) for _, a in reader.tags] == [sorted(a) for _, a in harmless.tags]
    assert word in "".join(reader.text)
    styles = [a["style"] for _, a in reader.tags if a.get("style")]
    assert not [style for style in styles if "evil" in style or "<" in style]


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_run_ids_stay_text_in_the_list(word):
    line = RunLine(word, "a.html", word, word, word, word, word, word, "warn", word)
    reader = Reader.of(render_index([line], "now"))
    assert not reader.all("script")
    assert not reader.all("img")
    assert [a["href"] for a in reader.all("a")] == ["#main", "a.html"]


@given(st.text(max_size=40))
def test_any_text_gives_a_page_of_the_same_shape(word):
    shape = [
        tag for tag, _ in Reader.of(render_index([RunLine("r", "r.html", "w", "", "", "", "", "", "", "")], "")).tags
    ]
    line = RunLine(word, "r.html", "w", word, word, word, word, word, "", word)
    assert [tag for tag, _ in Reader.of(render_index([line], word)).tags] == shape


def test_half_a_surrogate_does_not_stop_the_page():
    assert b"bad ? name" in render_page(replace(page(), title="bad \ud800 name"))


def test_nothing_on_the_page_needs_the_network():
    html = render_page(page()).decode()
    reader = Reader.of(html.encode())
    assert not reader.all("script")
    assert not reader.all("link")
    assert all(image["src"].startswith("data:") for image in reader.all("img"))
    assert "default-src 'none'" in html
    outside = set(re.findall(r"https?://[^\s\"'<)]+", html)) - {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not outside
    assert "@import" not in html
    assert "url(http" not in html


def test_the_page_can_be_read_without_eyes_and_without_a_mouse():
    reader = Reader.of(render_page(page()))
    assert reader.tags[0][0] == "html"
    assert reader.all("html") == [{"lang": "en"}]
    assert all(image.get("alt") for image in reader.all("img"))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [a["id"] for _, a in reader.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    anchors = [a["href"][1:] for a in reader.all("a") if (a.get("href") or "").startswith("#")]
    assert anchors[0] == "main"
    assert set(anchors) <= set(ids)
    labelled = [a["aria-labelledby"] for _, a in reader.tags if a.get("aria-labelledby")]
    assert set(labelled) <= set(ids)


def test_light_and_dark_text_has_enough_contrast():
    """WCAG AA, 4.5 to 1, for every text color on every ground it stands on."""
    style = Reader.of(render_page(page()))
    css = "".join(style.text)
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", css)
    fixed = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))
    for place in (1, 2):
        colors = fixed | {pair[0]: pair[place] for pair in pairs}
        for text in ("ink", "muted", "accent", "good", "warn", "bad"):
            for ground in ("page", "surface", "sunken"):
                assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground, colors[text], colors[ground])
        for tag in ("box", "box-main"):
            assert contrast(colors[tag], "#ffffff") >= 4.5


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colors #rrggbb."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_an_empty_page_says_what_is_missing():
    text = "".join(Reader.of(render_page(empty_page())).text)
    for name in SECTIONS:
        assert f"nothing for {name}" in text
    assert "No run has been reported yet" in "".join(Reader.of(render_index([], "now")).text)


def test_commands_in_sentences_are_set_as_code_and_escaped():
    assert with_code("run `atelier <x>` & wait") == "run <code>atelier &lt;x&gt;</code> &amp; wait"
    assert with_code("an odd ` tick <b>") == "an odd ` tick &lt;b&gt;"


def test_several_lines_are_named_and_told_apart_without_color():
    epochs = list(range(1, 6))
    shown = [Line("train", epochs, [5, 4, 3, 2, 1]), Line("validation", epochs, [5, 4, 4, 4, 4])]
    figure = lines([*shown, Line("once", [1], [1.0])], "loss")
    assert ">train<" in figure.svg
    assert ">validation<" in figure.svg
    assert ">once<" not in figure.svg
    assert {"var(--line-1)", "var(--line-2)"} <= set(re.findall(r"var\(--line-\d\)", figure.svg))
    assert "stroke-dasharray" in figure.svg
    assert lines([Line("once", [1], [1.0])], "one point") is None


def test_abstentions_are_shown_plainly():
    reader = Reader.of(render_page(page()))
    assert "abstains" in reader.text


def test_a_trend_needs_two_points_and_is_the_same_every_time():
    points = [Point(NIGHT, 0.9), Point(NIGHT + timedelta(days=1), None), Point(NIGHT + timedelta(days=2), 0.8)]
    assert trend(points[:2], "words") is None
    first, second = trend(points, "words"), trend(points, "words")
    assert first == second
    assert "#0a0b0c" not in first.svg
    assert "var(--line-1)" in first.svg
    assert "<style" not in first.svg


def test_runs_of_one_day_are_told_apart_by_the_hour():
    assert labels_of([NIGHT, NIGHT + timedelta(days=1)]) == ["23 Nov", "24 Nov"]
    assert labels_of([NIGHT, NIGHT + timedelta(hours=9)]) == ["23 Nov 02:00", "23 Nov 11:00"]


@given(st.text(max_size=60), st.integers(3, 40))
def test_clipped_text_is_bounded_and_keeps_both_ends(text, length):
    clipped = clip(text, length)
    assert len(clipped) <= length
    if len(text) <= length:
        assert clipped == text
    else:
        assert text.startswith(clipped.split("…")[0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.012, "1.2 %"),
        (0.5, "50 %"),
        (0.926, "93 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_never_round_to_all_or_nothing(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.25, "250 ms"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (8000, "2 h 13 min"),
    ],
)
def test_durations_are_said_as_people_say_them(value, text):
    assert seconds(value) == text


def test_counts_have_separators():
    assert count(1234567) == "1,234,567"


def test_statements_are_shown_with_their_values_as_sql():
    values = {"run": "it's", "n": 3, "none": None, "keys": ["a", "b'c"], "at": datetime(2026, 11, 23, 2, tzinfo=UTC)}
    shown = spelled_out("select $run, $n, $none, $keys, $at", values)
    assert shown == "select 'it''s', 3, null, ['a', 'b''c'], timestamptz '2026-11-23T02:00:00+00:00'"
    assert literal(True) == "true"


def test_swatches_know_names_in_any_case_and_never_repeat_data():
    assert swatch_style(" Navy Blue ") == f"background:{HEX['navy blue']}"
    assert swatch_class("Multi") == "many"
    assert swatch_class("url(x)") == "none"
    assert swatch_style("url(x)") == ""
