"""Figures of heads and captioner on real photos, made by the product's own commands: the tables in docs/models.md.

    python benchmarks/attribute_figures.py --retail FOLDER --cc0 FOLDER --out var/figures [--write docs/models.md]

FOLDER holds `labels.csv` and the photos it names. Every step is a command that a person could type; it is printed, its
answer is kept as OUT/<step>.json, and a step whose answer is there is not run again: a killed run goes on. About 75
minutes on two CPU cores, most of it the two fine-tunings.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- figures of attributes: begin -->", "<!-- figures of attributes: end -->"

TUNING = ["--epochs", "13", "--mix", "0.3"]

SPLIT = ["--split-seed", "7", "--validation", "0.08", "--held-out", "0.15"]
"""The same products are held out in every step."""

SENDERS = ["--split-seed", "6", "--validation", "0.1", "--held-out", "0.15"]
"""Few people sent most photos: this seed holds out 700 photos, others 300 or 1,400."""

COUNT = ["--min-count", "22"]
"""22 training photos are 30 of all: three quarters train."""

RETAIL_HEADS = ("type", "color", "brand", "gender")
OTHER_HEADS = ("subcategory", "usage")
HISTOGRAM = ["--extra-input", "color=color_histogram", "--hidden", "color=256"]
IMAGENET = "models/starter/cards/efficientnet_lite0.toml"
"""The backbone as its makers published it: the starter's own has seen the photos taken at home."""

STARTER_HEADS = ("type", "color", "pattern", "brand", "captioner")
WANTED = {"type": 0.92, "color": 0.70, "brand": 0.72, "gender": 0.92}
PROBE = {"type": 0.884, "color": 0.623, "brand": 0.632, "gender": 0.891}
"""A linear probe of another split of the same photos, for orientation."""


@dataclass(frozen=True)
class Bench:
    """Where things are: the folders of photos, and the folder of everything made."""

    retail: Path
    cc0: Path
    out: Path

    def run(self, step: str, *arguments: object) -> dict[str, Any]:
        """The answer of `atelier <arguments>`, from OUT/<step>.json where the step was done before."""
        kept = self.out / f"{step}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
        words = [str(argument) for argument in arguments]
        print("$", shlex.join(["atelier", *words]), file=sys.stderr, flush=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
        )
        answer = {**json.loads(done.stdout.splitlines()[-1]), "minutes": round((time.monotonic() - began) / 60, 1)}
        kept.write_text(json.dumps(answer, indent=1))
        return answer


def bare(bench: Bench) -> Path:
    """A release of the ImageNet backbone alone."""
    left_out = [word for name in STARTER_HEADS for word in ("--without", name)]
    bench.run("bare", "release", "create", bench.out / "bare", "--from", "starter", "--card", IMAGENET, *left_out)
    return bench.out / "bare"


def heads(*names: str) -> list[str]:
    """Options that name heads."""
    return [word for name in names for word in ("--head", name)]


def retail(bench: Bench) -> dict[str, dict[str, Any]]:
    """Linear probe, fine-tuning, and captions on the retail photos."""
    frozen, tuned, release = bench.out / "retail", bench.out / "retail-tuned", bench.out / "release"
    labels = ["--labels", bench.retail / "labels.csv", "--product-column", "product_id"]
    for column in ("type", "color", "gender", "usage", "subcategory=subCategory", "brand=title:first-word"):
        labels += ["--label-column", column]
    labels += ["--label-column", "caption=title"]
    bench.run("retail-features", "features", frozen, *labels, "--pictures", "--release", bare(bench))
    both = ["--features", frozen, *HISTOGRAM, *COUNT, *SPLIT]
    answers = {
        "probe": bench.run("retail-probe", "classify", "train", bench.out / "probe", *both, *heads(*RETAIL_HEADS))
    }
    answers["tuned"] = bench.run(
        "retail-tuned",
        *("classify", "finetune", bench.out / "tuned", *both, *heads(*RETAIL_HEADS, *OTHER_HEADS), *TUNING),
        *("--backbone", IMAGENET),
        *("--data", "photos of the Fashion Product Images catalog"),
    )
    cards = bench.out / "tuned" / "cards"
    bench.run("release", "release", "create", release, "--from", "starter", "--card", cards / "backbone.toml",
              *(word for name in RETAIL_HEADS for word in ("--card", cards / f"{name}.toml")),
              "--without", "pattern", "--without", "captioner")  # fmt: skip
    bench.run("retail-tuned-features", "features", tuned, *labels, "--release", release)
    answers["captions"] = bench.run(
        "captions",
        *("annotate", "train", bench.out / "captions", "--features", tuned, *SPLIT),
        *("--extra-input", "color_histogram", "--decoder", "both"),
    )
    answers["compare"] = bench.run(
        "compare",
        *("classify", "compare", bench.out / "compare", "--features", frozen, *COUNT, *SPLIT),
        *heads(*RETAIL_HEADS, *OTHER_HEADS),
    )
    bench.run("plot-tuned", "classify", "plot", bench.out / "tuned")
    bench.run("plot-captions", "annotate", "plot", bench.out / "captions")
    return answers


def cc0(bench: Bench) -> dict[str, dict[str, Any]]:
    """Linear probe and fine-tuning on the photos taken at home, split by the person who took them."""
    folder = bench.out / "cc0"
    names = bench.out / "names.toml"
    names.write_text('[type]\n"Not sure" = ""\n"Other" = ""\n"Skip" = ""\n')
    bench.run("cc0-features", "features", folder, "--labels", bench.cc0 / "labels.csv", "--product-column", "sender_id",
              "--label-column", "type", "--names", names, "--pictures", "--release", bare(bench))  # fmt: skip
    both = ["--features", folder, *COUNT, *SENDERS, "--head", "type"]
    return {
        "cc0-probe": bench.run("cc0-probe", "classify", "train", bench.out / "cc0-probe", *both),
        "cc0-tuned": bench.run(
            "cc0-tuned", "classify", "finetune", bench.out / "cc0-tuned", *both, *TUNING, "--backbone", IMAGENET
        ),
    }


def table(retail: dict[str, dict[str, Any]], cc0: dict[str, dict[str, Any]]) -> str:
    """What goes into docs/models.md."""
    lines = [
        "| photos, head | labels, held-out photos | frozen backbone | fine-tuned | top 3 | macro F1 | wanted |",
        "|---|---|---|---|---|---|---|",
    ]
    for head in RETAIL_HEADS:
        lines.append(row(f"retail, {head}", head, retail["probe"], retail["tuned"], WANTED[head]))
    lines.append(row("taken at home, type", "type", cc0["cc0-probe"], cc0["cc0-tuned"], 0.82))
    lines += ["", *captions(retail), "", *naive(retail["compare"]), ""]
    minutes = {"retail": retail["tuned"]["minutes"], "taken at home": cc0["cc0-tuned"]["minutes"]}
    lines.append("Fine-tuning took " + ", ".join(f"{m:g} minutes ({name})" for name, m in minutes.items()) + ".")
    return "\n".join(lines)


def row(words: str, head: str, before: dict[str, Any], after: dict[str, Any], wanted: float) -> str:
    """A line of the table of heads."""
    was, test = before["figures"][head]["test"]["accuracy"], after["figures"][head]["test"]
    labels = len(tomllib.loads((ROOT / after["cards"][head]).read_text(encoding="utf-8"))["labels"])
    return (
        f"| {words} | {labels}, {test['n']} | {was:.3f} | **{test['accuracy']:.3f}** "
        f"| {test['top3']:.3f} | {test['macro_f1']:.3f} | {wanted:.2f} |"
    )


def captions(retail: dict[str, dict[str, Any]]) -> list[str]:
    """Lines of the table of captions."""
    lines = [
        "| captions of held-out retail photos, fine-tuned backbone | CIDEr | BLEU-4 | ROUGE-L |",
        "|---|---|---|---|",
    ]
    figures = retail["captions"]["figures"]
    rows = {
        "caption of the nearest training photo": figures["nearest_photo"],
        "transformer": figures["transformer"]["test"],
        "GRU": figures["test"],
    }
    for words, one in rows.items():
        lines.append(f"| {words} | {one['cider']:.3f} | {one['bleu4']:.3f} | {one['rouge_l']:.3f} |")
    return lines


def naive(compare: dict[str, Any]) -> list[str]:
    """Lines of the table of the naive head against multi-task heads."""
    lines = ["| one backbone, frozen; all labels together | samples F1 | micro F1 | macro F1 |", "|---|---|---|---|"]
    for method, scopes in compare["methods"].items():
        figures = scopes["together"]
        cells = (
            f"{figures[k]['mean']:.3f} ± {figures[k]['spread']:.3f}" for k in ("samples_f1", "micro_f1", "macro_f1")
        )
        lines.append(f"| {method.replace('_', ' ')} | {' | '.join(cells)} |")
    return lines


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
    parser.add_argument("--retail", type=Path, required=True, help="folder with labels.csv: type, color, gender, title")
    parser.add_argument("--cc0", type=Path, required=True, help="folder with labels.csv: type, sender_id")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything made")
    parser.add_argument("--write", type=Path, help="page whose tables are replaced")
    chosen = parser.parse_args()
    bench = Bench(chosen.retail.resolve(), chosen.cc0.resolve(), chosen.out.resolve())
    bench.out.mkdir(parents=True, exist_ok=True)
    text = table(retail(bench), cc0(bench))
    print(text)
    if chosen.write:
        write(chosen.write, text)


if __name__ == "__main__":
    main()
