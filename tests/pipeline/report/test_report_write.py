"""Reports of real (tiny) warehouses: content, empty states, bounds, determinism, the list of runs, bad input."""

import re
import shutil
from datetime import timedelta
from html import unescape

import pytest
from typer.testing import CliRunner

from pipeline.errors import InputError
from pipeline.report.reject_section import EXAMPLES_A_REASON
from pipeline.report.write import write_report
from pipeline.settings import ReportSettings

FIVE_MB = 5_000_000
LIMITS = ReportSettings()


def words(html: str) -> str:
    """The text of a page without tags, spaces made single."""
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def made_once(html: str) -> str:
    """The page without the time it was made."""
    return re.sub(r"Made .*? by Atelier", "", html)


def cards(html: str, section: str) -> list[str]:
    """Keys of the cards of a section, in their order."""
    part = html[html.index(f'<section id="{section}"') :]
    return re.findall(r'<p class="key mono">(.*?)</p>', part[: part.index("</section>")])


def test_a_run_gives_a_page_with_its_numbers(shop):
    keys = shop.stock(12)
    shop.feed([{"product_id": "00000", "type": "Skirt", "title": "A <b>skirt</b>"}])
    shop.put("photos/00099_0.jpg", b"\xff\xd8\xff\xe0 broken")
    shop.list_catalog()
    shop.reject("earlier", "photos/00099_0.jpg", "corrupt", "bad Huffman code")
    run_id = shop.night(1, keys[:10])
    written = write_report(shop.settings)
    assert written.uri.endswith(f"/reports/{run_id}.html")
    assert (written.run_id, written.snapshot) == (run_id, 1)
    assert written.local.stat().st_size == written.bytes
    text = words(shop.page(run_id))
    assert "Of 13 listed photos, 10 enriched, 1 in quarantine and 2 pending. This run enriched 10." in text
    assert "Run of 23 November 2026, 02:00 UTC" in text
    assert "garments 10 1.0 a photo, 0 without" in text
    assert "products 7 5 with an enriched photo" in text
    assert "images/s 1.2 cpu fp32" in text
    assert "plan 1.5 s enrich 8.0 s fetch 1.0 s decode 3.0 s models 6.5 s" in text
    assert "corrupt 1 until it is replaced or re-admitted photos/00099_0.jpg bad Huffman code" in text
    assert "type: the feed says Skirt, the photo Dress (0.92)" in text
    assert "A <b>skirt</b>" in text
    assert "There is no search index yet" in text
    assert RELEASE_LINE.format(shop.release_id) in text
    assert "sleeve 1 label, 0 % abstained long 10 · 100 %" in text


RELEASE_LINE = "release {} device cpu fp32 snapshot 1"


def test_photos_are_drawn_with_their_boxes_and_abstentions(shop):
    keys = shop.stock(3)
    run_id = shop.night(1, keys)
    html = shop.page(run_id) if write_report(shop.settings) else ""
    assert sorted(cards(html, "gallery")) == keys
    assert html.count('src="data:image/jpeg;base64,') == len(cards(html, "gallery")) + len(cards(html, "look"))
    assert 'x="12.0" y="10.0" width="36.0" height="60.0"' in html  # shown at full size: 60x80 pixels
    assert "type abstains 0.31" in words(html)
    assert "The two colors disagree." in html
    assert 'style="background:#c4222b"' in html


def test_statements_on_the_page_run_as_they_stand(shop):
    from pipeline.tables import connect

    run_id = shop.night(1, shop.stock(4))
    write_report(shop.settings)
    html = shop.page(run_id)
    statements = [
        unescape(found) for found in re.findall(r"<h3>.*?</h3>\s*<pre[^>]*><code>(.*?)</code>", html, re.DOTALL)
    ]
    assert len(statements) >= 12
    with connect(shop.warehouse, shop.warehouse.load_snapshot(1)) as con:
        for statement in statements:
            assert con.sql(statement) is not None
            con.sql(statement).fetchall()


def test_hostile_data_reaches_the_page_as_text(shop):
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    key = "photos/<img src=x onerror=alert(2)>_1.jpg"
    for name in (key, "photos/1_1.jpg"):
        shop.put(name)
    shop.list_catalog()
    shop.reject("r", "photos/1_1.jpg", "corrupt", evil)
    shop.feed([{"product_id": "<img src=x onerror=alert(2)>", "title": evil, "type": evil}])
    run_id = shop.night(1, [key], caption=evil, type=evil, color=evil, color_measured=evil)
    write_report(shop.settings)
    html = shop.page(run_id)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert evil in words(html) or evil in unescape(html)


def test_the_same_run_gives_the_same_page_and_another_night_another_sample(shop):
    keys = shop.stock(60)
    run_id = shop.night(1, keys)
    write_report(shop.settings)
    first = shop.page(run_id)
    write_report(shop.settings, run_id)
    assert made_once(shop.page(run_id)) == made_once(first)
    sample = cards(first, "gallery")
    assert len(sample) == len(set(sample)) == LIMITS.gallery_photos
    assert sample != sorted(keys)[: LIMITS.gallery_photos]


def test_an_older_run_is_reported_from_its_own_snapshot(shop):
    keys = shop.stock(6)
    first = shop.night(1, keys[:4])
    write_report(shop.settings)
    before = made_once(shop.page(first))
    second = shop.night(2, keys[4:])
    assert write_report(shop.settings).run_id == second
    written = write_report(shop.settings, first)
    assert written.snapshot == 1
    assert made_once(shop.page(first)) == before
    assert "6 enriched, 0 in quarantine. This run enriched 2." in words(shop.page(second))
    assert "Images a second over the last 2 runs" in shop.page(second)
    assert write_report(shop.settings, first, snapshot=2).snapshot == 2
    assert "All 6 listed photos are accounted for" in words(shop.page(first))


def test_the_list_of_runs_is_newest_first_and_keeps_forgotten_ones(shop):
    assert write_report(shop.settings).run_id is None
    assert "No run has been reported yet" in (shop.reports / "index.html").read_text()
    keys = shop.stock(4)
    runs = [shop.night(number, [keys[number]]) for number in (1, 3, 2)]
    for run_id in runs:
        write_report(shop.settings, run_id)
    (shop.reports / "20200101T000000Z-old.html").write_text("of a warehouse whose runs are gone")
    write_report(shop.settings, runs[0])
    found = re.findall(r'<a href="(.*?)\.html"', (shop.reports / "index.html").read_text())
    assert found == [*sorted(runs, reverse=True), "20200101T000000Z-old"]


def test_a_run_that_found_nothing_shows_the_catalog_as_it_is(shop):
    keys = shop.stock(4)
    shop.night(1, keys)
    run_id = shop.night(2, [])
    write_report(shop.settings)
    text = words(shop.page(run_id))
    assert "All 4 listed photos are accounted for: 4 enriched, 0 in quarantine. This run found nothing new" in text
    assert "This run enriched nothing, so these are 4 of all 4 enriched photos." in text
    assert "No photo is in quarantine." in text


def test_an_empty_catalog_gives_a_page_that_says_so(shop):
    shop.job("only-plan", "plan", shop.first_night, 0.5, details="not an object")
    written = write_report(shop.settings)
    text = words(shop.page("only-plan"))
    assert written.snapshot is None
    for said in ("nothing has been listed yet", "No photo has been enriched yet", "No head has answered yet"):
        assert said in text


def test_a_catalog_that_is_gone_leaves_sentences_for_photos(shop, tmp_path):
    run_id = shop.night(1, shop.stock(2))
    shutil.rmtree(tmp_path / "catalog")
    write_report(shop.settings)
    html = shop.page(run_id)
    assert "data:image/jpeg" not in html
    assert "no longer in the catalog" in words(html)


def test_an_unknown_run_or_snapshot_is_refused_by_name(shop):
    with pytest.raises(InputError, match="no run has been recorded yet"):
        write_report(shop.settings, "nope")
    run_id = shop.night(1, shop.stock(1))
    with pytest.raises(InputError, match=f"no run 'nope'; the latest are {run_id}"):
        write_report(shop.settings, "nope")
    with pytest.raises(InputError, match="no snapshot 9"):
        write_report(shop.settings, snapshot=9)
    shop.job("../escape", "plan", shop.first_night, 1.0)
    with pytest.raises(InputError, match="can't name a report"):
        write_report(shop.settings, "../escape")


def test_the_index_shows_its_shards_whether_it_is_live_and_its_trend(shop):
    keys = shop.stock(2)
    first = shop.night(1, keys[:1])
    live = shop.index(first, 1, live=True)
    write_report(shop.settings)
    text = words(shop.page(first))
    assert f"Version {live} was built by this run and is live. 60 vectors in 2 shards" in text
    assert "footwear 1.000 · 20 vectors full-body 1.000 · 40 vectors" in text
    assert f"index recall@10 1.000 {live}, live" in text
    second = shop.night(2, keys[1:])
    late = shop.index(second, 2, live=False, recall=0.5)
    write_report(shop.settings)
    text = words(shop.page(second))
    assert f"Version {late} was built by this run but is not live: searches use {live}." in text
    assert "Recall@10 of the last 2 index versions: 0.500 in the latest" in text
    third = shop.night(3, [])
    write_report(shop.settings)
    assert f"Version {live} was built by an earlier run and is live." in words(shop.page(third))


@pytest.mark.parametrize("pointer", [b"{}", b"nonsense"])
def test_a_broken_pointer_is_said_not_raised(shop, tmp_path, pointer):
    run_id = shop.night(1, shop.stock(1))
    version = shop.index(run_id, 1, live=False)
    (tmp_path / "warehouse" / "index" / "CURRENT.json").write_bytes(pointer)
    (tmp_path / "warehouse" / "index" / "versions" / version / "manifest.json").unlink()
    write_report(shop.settings)
    text = words(shop.page(run_id))
    assert "What is live is not known" in text
    assert "60 vectors in 2 shards." in text
    assert f"Its manifest can't be read, so that recall by shard is not known: {tmp_path}" in text


def test_many_rows_give_a_bounded_page(shop):
    """Long texts and 3,000 photos, 600 rejects under 30 reasons, hundreds of labels: still far below 5 MB."""
    count = 3_000
    noisy = b"x" * 10
    keys = [f"photos/{n:05d}_{'k' * 200}.jpg" for n in range(count)]
    shop.etags = dict.fromkeys(keys, ("etag", 10))
    rejected = [f"rejects/{n}.jpg" for n in range(30)]
    for key in rejected:
        shop.put(key, noisy)
    shop.list_catalog()
    for n, key in enumerate(rejected):
        shop.reject("r", key, f"reason_{n:02d}", "m" * 5_000)
    shop.feed([{"product_id": f"{n:05d}", "title": "t" * 3_000, "type": "f" * 3_000} for n in range(0, count, 7)])
    run_id = shop.night(1, [], caption="")
    rows = [
        shop.read(key, caption="c" * 3_000, type=f"type {n % 700} " + "y" * 500, color_agrees=False)
        for n, key in enumerate(keys)
    ]
    shop.enrich(run_id, rows)
    shop.warehouse.snapshot(shop.release_id, run_id)
    write_report(shop.settings)
    html = shop.page(run_id)
    assert len(html.encode()) < 600_000  # without thumbnails; these are bounded by Thumbnails
    assert len(cards(html, "gallery")) == LIMITS.gallery_photos
    assert len(cards(html, "look")) <= 3 * LIMITS.look_photos
    assert "684 more labels" in words(html)
    assert "3,000" in words(html)


def test_rejects_beyond_the_examples_are_counted(shop):
    for n in range(EXAMPLES_A_REASON + 5):
        shop.put(f"{n}.jpg", b"no image")
    shop.list_catalog()
    for n in range(EXAMPLES_A_REASON + 5):
        shop.reject("r", f"{n}.jpg", "not_an_image", "starts with 'no image'")
    retry = shop.first_night + timedelta(days=1)
    shop.put("late.jpg")
    shop.list_catalog()
    shop.reject("r", "late.jpg", "fetch_timeout", "no answer", permanent=False, attempts=3, next_retry_at=retry)
    run_id = shop.night(1, [])
    write_report(shop.settings)
    text = words(shop.page(run_id))
    assert f"not_an_image {EXAMPLES_A_REASON + 5} until it is replaced or re-admitted" in text
    assert "and 5 more" in text
    assert "no answer 3 attempts, again after 23 November 2026, 02:00 UTC" in text
    assert "fetch_timeout 1 tried again by itself" in text


@pytest.mark.integration
def test_catalog_and_warehouse_may_lie_in_s3(shop_at, s3_uri):
    shop = shop_at(f"{s3_uri}/catalog", f"{s3_uri}/warehouse")
    run_id = shop.night(1, shop.stock(3))
    live = shop.index(run_id, 1, live=True)
    written = write_report(shop.settings)
    assert written.uri == f"{s3_uri}/warehouse/reports/{run_id}.html"
    assert written.local is None
    html = shop.warehouse.store.get(f"reports/{run_id}.html").data.decode()
    assert "data:image/jpeg" in html
    assert f"Version {live} was built by this run and is live." in words(html)
    assert run_id in shop.warehouse.store.get("reports/index.html").data.decode()


def test_the_command_prints_one_json_line(shop, monkeypatch):
    import json

    from pipeline.cli import app, report_command

    if not any(command.callback is report_command.report for command in app.registered_commands):
        report_command.attach(app)
    run_id = shop.night(1, shop.stock(1))
    monkeypatch.setattr("pipeline.cli.report_command.settings", lambda: shop.settings)
    done = CliRunner().invoke(app, ["report", "--run", run_id])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["uri"].endswith(f"reports/{run_id}.html")
