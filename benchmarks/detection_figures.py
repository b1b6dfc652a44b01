"""Figures of garment detection, made by the product's own commands: the tables and the sheet in docs/models.md.

    python benchmarks/detection_figures.py --street FOLDER --retail FOLDER --cc0 FOLDER --out var/detection-figures
        [--card detector.toml] [--write docs/models.md] [--sheet docs/img/detections.jpg]

FOLDER of street photos holds boxes.csv, the others labels.csv. The demo photos are rendered with a seed of their own.
Every step is a command that a person could type; it is printed, its answer is kept as OUT/<step>.json, and a step whose
answer is there is not run again: a killed run goes on, and a new card needs a new OUT. About 8 minutes on a CPU core.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.training.detection_data import owner_held_out

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- figures of detection: begin -->", "<!-- figures of detection: end -->"
STARTER_CARD = ROOT / "models" / "starter" / "cards" / "detector.toml"

FOUR = "upper-body,lower-body,full-body,footwear"
DEMO = ["--products", "150", "--parts", "0", "--seed", "78"]
HELD_OUT = 0.2
"""The share that the starter's training left out."""

TILES = 7
"""Photos of each kind on the sheet: a row."""

GROUPS = ("upper-body", "lower-body", "full-body", "footwear", "bag", "headwear", "accessory")


@dataclass(frozen=True)
class Bench:
    """Where things are: the folders of photos, the card, and the folder of everything made."""

    street: Path
    retail: Path
    cc0: Path
    card: Path
    out: Path

    def atelier(self, step: str, *arguments: object) -> dict[str, Any]:
        """The answer of `atelier <arguments>`."""
        return self._run(step, [sys.executable, "-m", "pipeline"], "atelier", arguments)

    def script(self, step: str, name: str, *arguments: object) -> dict[str, Any]:
        """The answer of a script beside this one."""
        path = f"benchmarks/{name}"
        return self._run(step, [sys.executable, path], f"python {path}", arguments)

    def _run(self, step: str, program: list[str], shown: str, arguments: tuple[object, ...]) -> dict[str, Any]:
        kept = self.out / f"{step}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
        words = [str(argument) for argument in arguments]
        print("$", shown, shlex.join(words), file=sys.stderr, flush=True)
        done = subprocess.run([*program, *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        answer = json.loads(done.stdout.splitlines()[-1])
        kept.write_text(json.dumps(answer, indent=1))
        return answer


def answers(bench: Bench) -> dict[str, dict[str, Any]]:
    """Every step's answer by name."""
    demo, card = bench.out / "demo", ["--card", bench.card]
    street, kept_out = bench.street / "boxes.csv", ["--held-out", HELD_OUT]
    found = {"render": bench.atelier("render", "detect", "render", demo, *DEMO)}
    found["demo"] = bench.atelier("demo", "detect", "test", *card, "--data", demo)
    found["street"] = bench.atelier("street", "detect", "test", *card, "--data", street, *kept_out, "--of", FOUR)
    found["street-all"] = bench.atelier("street-all", "detect", "test", *card, "--data", street, *kept_out)
    found["packshots"] = bench.script("packshots", "packshot_boxes.py", "--retail", bench.retail, *card)
    # garments' types come from a release, so these two read the starter's detector or the settings' release
    found["types"] = bench.script(
        "types",
        *("garment_types.py", "--worn", demo, "--street", bench.street, "--retail", bench.retail),
    )
    found["speed"] = bench.script("speed", "detection.py", "--json")
    return found


def sheet(bench: Bench, to: Path) -> None:
    """A contact sheet of unseen photos: a row each of packshots, taken at home, worn, street, and rendered ones."""
    demo = sorted((bench.out / "demo" / "photos").glob("*.jpg"))
    rows = [
        of_kind(bench.retail, "masterCategory", {"Footwear", "Accessories"}),
        [bench.cc0 / row["file"] for row in labels(bench.cc0) if unseen(row["sender_id"])],
        of_kind(bench.retail, "subCategory", {"Topwear", "Bottomwear", "Dress"}),
        [file for file in sorted(bench.street.glob("images/*.jpg")) if unseen(f"images/{file.name}")],
        demo,
    ]
    chosen = [files[(number * 2 + 1) * len(files) // (2 * TILES)] for files in rows for number in range(TILES)]
    bench.atelier("sheet", "detect", "show", *chosen, "--card", bench.card, "--to", to.resolve())


def unseen(owner: str) -> bool:
    """Whether photos of this sender, or of this name, were left out of the starter's training."""
    return owner_held_out(owner, HELD_OUT)


def labels(folder: Path) -> list[dict[str, str]]:
    """Rows of a folder's labels.csv, by file."""
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        return sorted(csv.DictReader(lines), key=lambda row: row["file"])


def of_kind(folder: Path, column: str, wanted: set[str]) -> list[Path]:
    """Photos of a folder with certain words in a column."""
    return [folder / row["file"] for row in labels(folder) if row[column] in wanted]


def tables(found: dict[str, dict[str, Any]]) -> str:
    """What goes into docs/models.md."""
    return "\n".join([*boxes(found), "", *types(found["types"]), "", *speed(found["speed"])])


def boxes(found: dict[str, dict[str, Any]]) -> list[str]:
    """Lines about boxes."""
    lines = [
        "| photos, none of them trained on | COCO AP | AP50 | AP75 | VOC07 mAP | wanted |",
        "|---|---|---|---|---|---|",
    ]
    for name, words, wanted in (
        ("street", "real street photos, four groups", "AP 0.32, AP50 0.60"),
        ("street-all", "the same, all seven groups", "-"),
        ("demo", "rendered, another seed", "AP50 0.95"),
    ):
        one = found[name]
        ap, half, strict, voc = (one[figure] for figure in ("ap", "ap50", "ap75", "voc07_ap50"))
        lines.append(f"| {words} ({one['photos']}) | {ap:.3f} | {half:.3f} | {strict:.3f} | {voc:.3f} | {wanted} |")
    lines += ["", "| AP50 (AP; garments) | street | rendered |", "|---|---|---|"]
    lines += [f"| {group} | {cell(found['street-all'], group)} | {cell(found['demo'], group)} |" for group in GROUPS]
    lines += [
        f"| by size, AP: small, medium, large | {by_size(found['street-all'])} | {by_size(found['demo'])} |",
        "",
        packshots(found["packshots"], found["demo"]),
    ]
    return lines


def cell(figures: dict[str, Any], group: str) -> str:
    """A group's figures."""
    one = figures["groups"].get(group)
    return f"{one['ap50']:.3f} ({one['ap']:.3f}; {one['garments']})" if one else "-"


def by_size(figures: dict[str, Any]) -> str:
    """AP of garments below 32 x 32, below 96 x 96 and above, pixels of the photo."""
    return ", ".join(f"{figures[f'ap_{size}']:.3f}" for size in ("small", "medium", "large"))


def packshots(real: dict[str, Any], demo: dict[str, Any]) -> str:
    """A sentence about main boxes."""
    kinds = ", ".join(f"{kind.lower()} {one['box']} of {one['photos']}" for kind, one in real["kinds"].items())
    return (
        f"Main garment's box at IoU 0.5 on {real['photos']} retail packshots: **{real['main_box']:.3f}** "
        f"(95 % interval {real['low']:.3f} to {real['high']:.3f}; wanted 0.95), box and group "
        f"{real['main_box_and_group']:.3f}. By kind: {kinds}. Rendered photos, any score: {demo['main_garment']:.3f}."
    )


def types(found: dict[str, Any]) -> list[str]:
    """Lines of the comparison of garment-level with whole-image types."""
    lines = [
        "| type, share right (95 % interval) | n | whole picture | garment found | difference | true box |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        gain = one["difference"]
        exact = f"{one['true_box']['share']:.3f}" if "true_box" in one else "-"
        lines.append(
            f"| {name} | {one['garments']} | {share(one['whole'])} | {share(one['garment'])} "
            f"| {gain['share']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}) | {exact} |"
        )
    return lines


def share(one: dict[str, float]) -> str:
    """A share with its interval."""
    return f"{one['share']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def speed(found: dict[str, Any]) -> list[str]:
    """A sentence about speed."""
    shares = ", ".join(f"{step} {100 * part:.0f} %" for step, part in found["shares"].items() if part >= 0.01)
    return [
        f"Detection alone, {found['size']} px, {found['device']}: {found['alone_images_per_s']:g} images/s of wall "
        f"time, {found['alone_images_per_cpu_s']:g} a second of one core. Of the enrichment pass over the same "
        f"{found['photos']} photos ({found['garments_per_photo']:g} garments each, "
        f"{found['pass_images_per_s']:g} images/s): {shares}.",
    ]


def write(page: Path, text: str) -> None:
    """Put the tables between their marks in a page."""
    whole = page.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        sys.exit(f"{page} lacks the marks {BEGIN} and {END}")
    before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Run all steps that have not been run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--street", type=Path, required=True, help="folder with boxes.csv")
    parser.add_argument("--retail", type=Path, required=True, help="folder with labels.csv: type, subCategory")
    parser.add_argument("--cc0", type=Path, required=True, help="folder with labels.csv: type")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--card", type=Path, default=STARTER_CARD, help="default: the starter's detector")
    parser.add_argument("--write", type=Path, help="page whose tables are replaced")
    parser.add_argument("--sheet", type=Path, help="contact sheet to draw")
    chosen = parser.parse_args()
    folders = (path.resolve() for path in (chosen.street, chosen.retail, chosen.cc0, chosen.card, chosen.out))
    bench = Bench(*folders)
    bench.out.mkdir(parents=True, exist_ok=True)
    text = tables(answers(bench))
    print(text)
    if chosen.write:
        write(chosen.write, text)
    if chosen.sheet:
        sheet(bench, chosen.sheet)


if __name__ == "__main__":
    main()
