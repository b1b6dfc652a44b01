"""Sections of the page that say what to do: checks, drift, models, variants, next steps; and the bounds of the page."""

from __future__ import annotations

import io
import json
import re
import shlex
from html import unescape
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from models.cards import read_card
from models.release_cards import LOG_SUFFIX, STARTER, read_release
from pipeline.cli import MODULES
from pipeline.drift.measure import measure_run
from pipeline.report import statements
from pipeline.report.model_section import models_of, read_log
from pipeline.report.write import write_report
from pipeline.settings import load_settings
from pipeline.tables import connect
from pipeline.tables.judging import judge

FIVE_MB = 5_000_000
NIGHT_LOG = [
    {"epoch": 1, "train_loss": 2.3, "type/validation_loss": 1.6, "type/validation_accuracy": 0.68},
    {"epoch": 2, "train_loss": 1.5, "type/validation_loss": 1.2, "type/validation_accuracy": 0.71},
    {"epoch": 3, "train_loss": float("nan"), "color/validation_loss": 9.9, "type/validation_accuracy": 0.72},
]


def words(html: str) -> str:
    """The text of a page without tags, spaces made single."""
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def section(html: str, name: str) -> str:
    """One section's HTML."""
    part = html[html.index(f'<section id="{name}"') :]
    return part[: part.index("</section>")]


def reported(shop, run_id: str) -> str:
    write_report(shop.settings, run_id)
    return shop.page(run_id)


def test_checks_are_shown_and_a_blocking_one_stands_at_the_top(shop):
    run_id = shop.night(1, shop.stock(1))
    shop.check(
        run_id,
        [
            {"name": "vectors_whole", "severity": "blocking", "rows": 0},
            {"name": "fresh", "severity": "warning", "rows": 7, "examples": ["odd"]},
            {"name": "removed_since", "severity": "warning", "rows": 0, "examples": {"not": "a list"}},
            {"name": "unique_keys", "severity": "blocking", "rows": 2, "examples": [{"image_key": "<b>a</b>"}] * 9},
        ],
    )
    html = reported(shop, run_id)
    text = words(section(html, "checks"))
    assert "1 blocking check found rows: unique_keys. Nothing is published until that is mended." in words(html)
    assert "2 of 4 passed" in text
    assert text.index("unique_keys 2 rows") < text.index("fresh 7 rows") < text.index("vectors_whole")
    assert text.count("image_key: <b>a</b>") == 3
    assert "<b>a</b>" not in html
    assert "sql/checks/unique_keys.sql" in text
    assert "sql/checks/vectors_whole.sql" not in text
    assert f"atelier check --run {run_id}" in words(section(html, "next"))
    assert "1 blocking" in (shop.reports / "index.html").read_text()


def test_what_atelier_check_keeps_is_what_the_page_shows(shop):
    run_id = shop.night(1, shop.stock(3))
    results = judge(shop.warehouse, shop.warehouse.load_snapshot(1))
    text = words(section(reported(shop, run_id), "checks"))
    assert f"{sum(result.passed for result in results)} of {len(results)} passed" in text
    for result in results:
        assert result.name in text


def test_drift_shows_distances_alarms_and_what_moved(full_shop):
    shop, run_id = full_shop
    with connect(shop.warehouse) as con:
        shop_page = reported(shop, run_id)
        alarms = con.execute("SELECT subject, measure FROM drift WHERE state = 'alarm' ORDER BY ALL").fetchall()
    text = words(section(shop_page, "drift"))
    assert ("type", "labels") in alarms
    assert f"Held against 8 photos of 1 run before: {len(alarms)} of" in text
    assert "type: labels Shares that moved most; the line is the runs before Coat 100 % · before 0 %" in text
    assert "0.20 to 0.25" in text or "0.15 to 0.20" in text
    step = words(section(shop_page, "next"))
    assert f"{len(alarms)} drift alarm" in step
    query = re.search(r'atelier sql -c "(.*?)"', step[step.index("drift alarm") :])
    assert query
    with connect(shop.warehouse) as con:
        assert len(con.sql(query[1]).fetchall()) == len(alarms)


def test_drift_says_why_nothing_is_judged_and_how_to_measure_it(shop):
    run_id = shop.night(1, shop.stock(4))
    html = reported(shop, run_id)
    assert "has not been held against the runs before it: atelier drift does that" in words(section(html, "drift"))
    assert f"atelier drift --run {run_id}" in words(section(html, "next"))
    measure_run(shop.warehouse, run_id)
    assert "Nothing is judged yet" in words(section(reported(shop, run_id), "drift"))


def test_the_trend_of_drift_spans_the_runs_up_to_this_one(shop):
    keys = shop.stock(12)
    runs = [shop.night(n, keys[4 * n - 4 : 4 * n]) for n in (1, 2, 3)]
    for run_id in runs:
        measure_run(shop.warehouse, run_id)
    assert "of each kind over" not in section(reported(shop, runs[1]), "drift")
    assert "of each kind over 2 runs" in section(reported(shop, runs[2]), "drift")


def test_variants_stand_beside_their_source(full_shop):
    shop, run_id = full_shop
    html = reported(shop, run_id)
    look = section(html, "look")
    assert "Generated variants" in words(look)
    assert "synthetic as footwear, dress-to-shoe 0.75" in words(look)
    pair = look[look.index('<div class="pair">') :]
    assert pair[: pair.index("</div>\n  </div>")].count("<img ") >= 1
    assert 'alt="Generated from this photo as footwear, dress-to-shoe 0.75"' in look
    for stored in (shop.reports.parent / "variants").iterdir():
        stored.unlink()
    assert "no longer in the warehouse" in words(section(reported(shop, run_id), "look"))


def test_a_shop_without_variants_shows_no_list_of_them(shop):
    assert "Generated variants" not in reported(shop, shop.night(1, shop.stock(2)))


@pytest.fixture
def release(tmp_path) -> Path:
    """The starter's cards as a release of its own, with a training log beside the type head."""
    from pipeline.cli.release_commands import write_copies

    run = tmp_path / "run"
    (run / "cards").mkdir(parents=True)
    for name in ("type.toml", "type.safetensors"):
        (run / "cards" / name).write_bytes((STARTER / "cards" / name).read_bytes())
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in NIGHT_LOG) + '{"epoch": 4, "tr')
    chosen = {"backbone": STARTER / "cards" / "backbone.toml", "head:type": run / "cards" / "type.toml"}
    write_copies(chosen, tmp_path / "release")
    write_copies({"backbone": chosen["backbone"], "head:type": tmp_path / "release/cards/type.toml"}, tmp_path / "next")
    return tmp_path / "next"


def test_a_new_release_shows_its_figures_and_the_training_logs_that_came_with_it(release):
    cards = read_release(release)
    assert len(read_log(release / "cards" / f"type{LOG_SUFFIX}")) == len(NIGHT_LOG)
    settings = load_settings(release={"uri": str(release)})
    history = [
        {"release_id": cards.release_id, "first_run_id": "r2", "first_started_at": None},
        {"release_id": "before", "first_run_id": "r1", "first_started_at": None},
    ]
    models = models_of(settings, "r2", cards.release_id, history)
    assert models.new
    assert models.words.endswith("for the first time in this run, in place of before.")
    head = next(model for model in models.models if model.name == "head type")
    accuracy = read_card(STARTER / "cards" / "type.toml").figures["test"]["accuracy"]
    assert ("accuracy", f"{accuracy:.3f}") in head.figures
    assert [figure.words for figure in head.curves] == [
        "head type: loss over 3 epochs",
        "head type: validation accuracy over 3 epochs",
    ]
    assert ">train<" in head.curves[0].svg
    assert ">validation<" in head.curves[0].svg
    assert not models_of(settings, "r3", cards.release_id, history).new


def test_a_release_that_is_not_at_hand_is_said(tmp_path):
    history = [{"release_id": "other", "first_run_id": "r1", "first_started_at": None}]
    other = models_of(load_settings(), "r2", "other", history)
    assert "so its cards are not shown" in other.words
    gone = models_of(load_settings(release={"uri": str(tmp_path / "gone")}), "r2", "other", history)
    assert "Its cards can't be read" in gone.words
    assert models_of(load_settings(), "r2", None, []) is None


@pytest.mark.parametrize("text", ["", "no json", "[1]\n", '{"loss": 1}\n', '{"epoch": true, "loss": 1}\n', "\xff\n"])
def test_a_broken_training_log_gives_no_curve(tmp_path, text):
    (tmp_path / "log").write_bytes(text.encode("latin-1"))
    assert read_log(tmp_path / "log") == []


def test_every_command_of_the_next_steps_exists(full_shop):
    shop, run_id = full_shop
    text = unescape(section(reported(shop, run_id), "next"))
    commands = [line for block in re.findall(r"<pre><code>(.*?)</code>", text, re.DOTALL) for line in block.split("\n")]
    assert len(commands) > 5
    app = typer.Typer()
    for module in MODULES:
        import_module(f"pipeline.cli.{module}").attach(app)
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "atelier"
        names = [word for word in arguments[:2] if re.fullmatch("[a-z]+", word)]
        options = {word for word in arguments if word.startswith("-")}
        shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, command
        assert all(option in shown.output for option in options), command


def test_a_quiet_night_has_nothing_pressing(shop):
    run_id = shop.night(1, shop.stock(2))
    shop.index(run_id, 1, live=True)
    shop.check(run_id, [{"name": "fresh", "severity": "warning", "rows": 0}])
    text = words(section(reported(shop, run_id), "next"))
    assert "Nothing presses: what is enriched is judged and live." in text


def test_pictures_of_a_page_are_bounded_in_number_and_bytes_by_settings(shop):
    """Noise does not compress: 90 such photos, all in conflict, and rejects; drawn the same way twice."""
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=90)
    keys = [f"photos/{n:05d}_0.jpg" for n in range(90)]
    for key in keys:
        shop.put(key, out.getvalue())
    rejects = [f"rejects/{n:03d}.jpg" for n in range(16)]
    for key in rejects:
        shop.put(key, out.getvalue())
    shop.list_catalog()
    for n, key in enumerate(rejects):
        shop.reject("r", key, ("corrupt", "truncated")[n % 2], "m")
    run_id = shop.night(1, keys, color_agrees=False)
    html = reported(shop, run_id)
    limits = shop.settings.report
    sources = re.findall(r'src="(data:image/jpeg;base64,[^"]*)"', html)
    assert 40 < len(sources) <= limits.gallery_photos + 4 * limits.look_photos + limits.reject_photos
    assert sum(map(len, sources)) <= limits.thumbnail_bytes
    assert len(html.encode()) < FIVE_MB
    enough_for_three = 3 * max(map(len, sources)) + 10
    tight = load_settings(
        **{name: getattr(shop.settings, name).model_dump() for name in ("catalog", "warehouse", "sql", "index")},
        report={"gallery_photos": 3, "look_photos": 1, "reject_photos": 2, "thumbnail_bytes": enough_for_three},
    )
    write_report(tight, run_id)
    fewer = re.findall(r'src="(data:image/jpeg;base64,[^"]*)"', shop.page(run_id))
    assert len(fewer) == 3
    assert "the page would grow too large" in shop.page(run_id)
    write_report(shop.settings, run_id)
    assert re.findall(r'src="(data:image/jpeg;base64,[^"]*)"', shop.page(run_id)) == sources


AGGREGATES = {"RUN_KNOWN", "RUN", "JOBS", "LISTED", "ENRICHED", "PHOTOS", "GARMENTS", "LABELS", "DRIFT_TREND"}
AGGREGATES |= {"ETAGS", "VARIANT_VECTORS"}
"""One row, or a few for each thing that is itself limited: a job, a photo shown, a head, a recent run."""


def test_every_statement_has_a_limit_or_aggregates():
    found = {name: text for name, text in vars(statements).items() if name.isupper()}
    assert {name for name, text in found.items() if not re.search(r"limit [$\d][^)]*\Z", text)} == AGGREGATES
