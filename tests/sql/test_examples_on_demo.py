"""The example questions on the demo catalog, really planned and enriched: each answer is worked out again in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from demo_shop import DemoShop
from tiny_release import write_tiny_release

from pipeline.drift.measure import measure_run
from pipeline.tables import connect
from pipeline.tables.schema import STANDARD_HEADS
from pipeline.tables.sql_files import read_sql

Row = dict[str, Any]
pytestmark = pytest.mark.slow


class Demo:
    """The tables' rows as Python, and the answers of the examples."""

    def __init__(self, shop: DemoShop, runs: list[str]) -> None:
        self.runs = runs
        warehouse = shop.warehouse
        self.images = warehouse.read("images").to_pylist()
        self.garments = warehouse.read("garments").to_pylist()
        self.events = {row["image_key"]: row for row in warehouse.read("quarantine").to_pylist()}
        self.catalog = {row["image_key"]: row for row in warehouse.read("catalog").to_pylist()}
        self.feed = {row["product_id"]: row for row in pq.read_table(shop.catalog / "feed.parquet").to_pylist()}
        self.jobs = warehouse.read("runs").to_pylist()
        self.drift = warehouse.read("drift_results").to_pylist()

    def answers(self, image: Row) -> Iterator[tuple[str, str | None]]:
        """(head, label) of one photo, every label of a head that gives several."""
        for head in STANDARD_HEADS:
            if image[f"{head}_score"] is not None:
                yield head, image[head]
        for answer in image["attributes"] or []:
            yield answer["head"], answer["label"]

    def product(self, key: str) -> str:
        return self.catalog[key]["product_id"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, duckdb.DuckDBPyConnection]]:
    root = tmp_path_factory.mktemp("demo")
    shop = DemoShop(root, write_tiny_release(root / "release"), drift={"min_photos": 4})
    shop.generate(products=5, photos=2, dirty=True)
    photos = shop.catalog / "photos"
    (photos / "twin_1.jpg").write_bytes((photos / "p0000000_1.jpg").read_bytes())
    (photos / "lost_1.jpg").write_text("<html>404</html>")
    first = shop.night(snapshot=False)
    measure_run(shop.warehouse, first)
    shop.add(range(5, 8))
    second = shop.night(snapshot=False)
    measure_run(shop.warehouse, second)
    with connect(shop.warehouse) as con:
        yield Demo(shop, [first, second]), con


def abstention_by_type(demo: Demo) -> set:
    photos: dict[tuple, list[bool]] = defaultdict(list)
    for image in demo.images:
        for head, label in demo.answers(image):
            photos[head, image["type"]].append(label is None)
    return {(*key, len(found), sum(found) / len(found)) for key, found in photos.items()}


def abstention_over_runs(demo: Demo) -> set:
    shares: dict[tuple, list[bool]] = defaultdict(list)
    for image in demo.images:
        given: dict[str, list] = defaultdict(list)
        for head, label in demo.answers(image):
            given[head].append(label)
        for head, labels in given.items():
            shares[image["run_id"], head].append(all(label is None for label in labels))
    return {(run, head, len(found), sum(found) / len(found)) for (run, head), found in shares.items()}


def brands_that_disagree(demo: Demo) -> set:
    def spelled(word: str | None) -> str:
        return "".join(letter for letter in (word or "").lower() if letter.isalnum())

    found: dict[str, list[bool]] = defaultdict(list)
    for image in demo.images:
        said = demo.feed.get(demo.product(image["image_key"]))
        if said and said["brand"]:
            pairs = [(spelled(said[head]), spelled(image[head])) for head in ("type", "color")]
            found[said["brand"]].append(any(a and b and a != b for a, b in pairs))
    return {(brand, len(bad), sum(bad), sum(bad) / len(bad)) for brand, bad in found.items() if any(bad)}


def colors_by_type_and_month(demo: Demo) -> set:
    counts: Counter = Counter()
    for image in demo.images:
        if image["type"] and image["color"]:
            month = demo.catalog[image["image_key"]]["modified_at"].date().replace(day=1)
            counts[month, image["type"], image["color"]] += 1
    totals: Counter = Counter()
    for (month, kind, _), count in counts.items():
        totals[month, kind] += count
    return {(*key, count, count / totals[key[:2]]) for key, count in counts.items()}


def cost_per_thousand_photos(demo: Demo) -> set:
    rows = {job["run_id"]: job for job in demo.jobs if job["job"] == "enrich"}
    return {
        (run, job["images"], job["seconds"] / 60 / (job["images"] + job["rejects"]) * 1000) for run, job in rows.items()
    }


def near_duplicate_listings(demo: Demo) -> set:
    photos = sorted((image["image_key"], image["sha256"], int(image["phash"], 16)) for image in demo.images)
    pairs: Counter = Counter()
    for index, (key, sha256, look) in enumerate(photos):
        earlier = photos[:index]
        kinds = (
            [other for other, digest, _ in earlier if digest == sha256],
            [other for other, _, hashed in earlier if hashed == look],
            [other for other, _, hashed in earlier if (hashed ^ look).bit_count() <= 3],
        )
        found = next((kind for kind in kinds if kind), None)
        if found and demo.product(found[0]) != demo.product(key):
            pairs[demo.product(key), demo.product(found[0])] += 1
    return {(*pair, count) for pair, count in pairs.items()}


def prices_by_color(demo: Demo) -> set:
    votes: dict[tuple, Counter] = defaultdict(Counter)
    for image in demo.images:
        for head in ("type", "color"):
            if image[head] is not None:
                votes[demo.product(image["image_key"]), head][image[head]] += round(image[f"{head}_score"], 6)
    prices: dict[tuple, list[float]] = defaultdict(list)
    for product, said in demo.feed.items():
        kind, color = ((votes[product, head] or Counter()) for head in ("type", "color"))
        if kind and color and said["price"] is not None:
            best = tuple(max((weight, label) for label, weight in found.items())[1] for found in (kind, color))
            prices[best].append(said["price"])
    return {(*labels, len(found), median(found)) for labels, found in prices.items()}


def out(demo: Demo) -> dict[str, Row]:
    read = {image["image_key"] for image in demo.images}
    return {key: event for key, event in demo.events.items() if key not in read}


def products_without_usable_photo(demo: Demo) -> set:
    photos: dict[str, list[str]] = defaultdict(list)
    for key in demo.catalog:
        photos[demo.product(key)].append(key)
    return {(p, len(keys)) for p, keys in photos.items() if all(key in out(demo) for key in keys)}


def rejects_by_reason(demo: Demo) -> set:
    counts = Counter((event["reason"], event["permanent"]) for event in out(demo).values())
    return {(*key, count) for key, count in counts.items()}


def time_per_photo(demo: Demo) -> set:
    groups: dict[tuple, list[float]] = defaultdict(list)
    for image in demo.images:
        groups[image["format"], round(image["width"] * image["height"] / 1e6)].append(image["model_ms"])
    return {(*key, len(found), sum(found) / len(found)) for key, found in groups.items()}


def what_drifted(demo: Demo) -> set:
    latest = [row for row in demo.drift if row["run_id"] == demo.runs[-1]]
    return {(row["subject"], row["measure"], row["distance"]) for row in latest}


def worn_together(demo: Demo) -> set:
    groups: dict[str, set] = defaultdict(set)
    for garment in demo.garments:
        groups[garment["image_key"]].add(garment["group"])
    pairs = Counter((a, b) for found in groups.values() for a in found for b in found if a < b)
    return {(*pair, count) for pair, count in pairs.items()}


EXPECTED: dict[str, tuple[Callable[[Demo], set], str]] = {
    "abstention_by_type": (abstention_by_type, "head, type, photos, abstained_share"),
    "abstention_over_runs": (abstention_over_runs, "run_id, head, photos, abstained_share"),
    "brands_that_disagree": (brands_that_disagree, "brand, photos, conflicts, share"),
    "colors_by_type_and_month": (colors_by_type_and_month, "month, type, color, photos, share"),
    "cost_per_thousand_photos": (cost_per_thousand_photos, "run_id, images, minutes_per_thousand"),
    "near_duplicate_listings": (near_duplicate_listings, "product_id, other_product_id, photos"),
    "prices_by_color": (prices_by_color, "type, color, products, median_price"),
    "products_without_usable_photo": (products_without_usable_photo, "product_id, photos"),
    "rejects_by_reason": (rejects_by_reason, "reason, permanent, photos"),
    "time_per_photo": (time_per_photo, "format, megapixels, photos, model_ms"),
    "what_drifted": (what_drifted, "subject, measure, distance"),
    "worn_together": (worn_together, "one, other, photos"),
}


def rounded(rows: Any) -> set:
    return {tuple(round(value, 4) if isinstance(value, float) else value for value in row) for row in rows}


def test_every_example_is_asked() -> None:
    assert set(EXPECTED) == {example.name for example in read_sql("examples")}
    assert len(EXPECTED) >= 10


@pytest.mark.parametrize("example", read_sql("examples"), ids=lambda example: example.name)
def test_the_answer_is_right(example: Any, demo: tuple[Demo, duckdb.DuckDBPyConnection]) -> None:
    tables, con = demo
    expected, columns = EXPECTED[example.name]
    found = con.execute(f"SELECT {columns} FROM ({example.statement})").fetchall()
    assert rounded(found) == rounded(expected(tables))
    assert len(found) == len(set(found))


def test_the_demo_catalog_asks_enough(demo: tuple[Demo, duckdb.DuckDBPyConnection]) -> None:
    """Answers that are all empty would prove nothing."""
    tables, _ = demo
    assert {name for name, (expected, _) in EXPECTED.items() if not expected(tables)} <= {"worn_together"}
    assert {image["run_id"] for image in tables.images} == set(tables.runs)
