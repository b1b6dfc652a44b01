"""`atelier release create|list|show|verify`: releases, the named sets of models that read the photos."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.cli import promote_commands
from pipeline.cli.output import console, emit, log
from pipeline.errors import InputError
from pipeline.settings import settings

group = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make, list, show and verify releases: the named sets of models that read the photos.",
)

Named = Annotated[str | None, typer.Argument(help="`starter`, a folder or s3://...; default: the setting release.uri")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group.command("create")(create)
    group.command("list")(list_releases)
    group.command("show")(show)
    group.command("verify")(verify)
    promote_commands.attach(group)
    app.add_typer(group, name="release")


def create(
    out: Annotated[Path, typer.Argument(help="folder of the new release")],
    card: Annotated[list[Path] | None, typer.Option(help="card of a model to put in; again for more")] = None,
    base: Annotated[str | None, typer.Option("--from", help="release to take all other models from")] = None,
    without: Annotated[list[str] | None, typer.Option(help="head or role of --from to leave out")] = None,
) -> None:
    """Put model cards together to a release; cards and weights are copied, so that it can't change afterwards.

    A card takes the place of the one with the same role (for heads: the same name) in `--from`.

    Example: `atelier release create var/releases/2 --from starter --card var/runs/type/cards/type.toml`
    """
    from models.release_cards import FILE, read_release
    from pipeline.releases import release_folder

    if (out / FILE).exists():
        raise InputError(f"{out} holds a release already; releases never change, choose another folder")
    chosen = _chosen(release_folder(settings(), base) if base else None, card or [], set(without or []))
    write_copies(chosen, out)
    made = read_release(out)
    if unsaid := sorted(card.name for card, _ in made.all() if not card.licence):
        log.warning(
            "no licence is stated in the cards of %s: train with --licence, for whoever asks", ", ".join(unsaid)
        )
    emit({"out": str(out), "release_id": made.release_id, "feature_id": made.feature_id, "models": sorted(chosen)})


def _chosen(base: Path | None, cards: list[Path], without: set[str]) -> dict[str, Path]:
    """Role or `head:NAME` -> card file: those of `base` less `without`, then `cards`."""
    from models.cards import read_card
    from models.release_cards import read_release, refuse_strangers

    chosen: dict[str, Path] = {}
    if base:
        for card, folder in read_release(base).all():
            if card.role not in without and card.name not in without:
                chosen[_place(card)] = folder / f"{card.name}.toml"
    for path in cards:
        chosen[_place(read_card(path))] = path
    if "backbone" not in chosen:
        raise InputError("a release needs a backbone: name one with --card, or a release to start --from")
    refuse_strangers(read_card(chosen["backbone"]), map(read_card, chosen.values()))
    return chosen


def _place(card: Any) -> str:
    return f"head:{card.name}" if card.role == "head" else card.role


def write_copies(chosen: dict[str, Path], out: Path) -> None:
    """Copy cards, the weights beside them and the logs of their training to `out`/cards; write release.toml last.

    Weights are checked. A log is that of the training run (`<run>/metrics.jsonl` of `<run>/cards`), or one that came
    with the card from another release.
    """
    from models.cards import read_card
    from models.release_cards import LOG_SUFFIX, write_release
    from models.training.log import FILE as RUN_LOG

    roles: dict[str, Any] = {"heads": {}}
    for place, path in sorted(chosen.items()):
        card = read_card(path)
        name = f"cards/{_copy(path, out / 'cards').name}"
        if card.role == "detector":  # it may stand on another backbone than the heads
            _copy(_under(path.with_name(str(card.options["backbone"])), chosen["backbone"]), out / "cards")
        kept = out / "cards" / f"{card.name}{LOG_SUFFIX}"
        logs = path.with_name(kept.name), path.parent.parent / RUN_LOG
        if log := next((file for file in logs if file.is_file() and file.resolve() != kept.resolve()), None):
            shutil.copyfile(log, kept)
        role, _, head = place.partition(":")
        if head:
            roles["heads"][head] = name
        else:
            roles[role] = name
    write_release(out, roles)


def _under(path: Path, backbone: Path) -> Path:
    """`path`, the card of a detector's backbone, unless the release has another backbone of that name.

    Raises:
        InputError: it has.
    """
    from models.cards import read_card

    own, other = read_card(path), read_card(backbone)
    if own.name == other.name and own.digest() != other.digest():
        raise InputError(
            f"the detector stands on another backbone than {backbone}, and both are named {own.name}: "
            "give the new one another name (atelier classify finetune --name)"
        )
    return path


def _copy(path: Path, folder: Path) -> Path:
    """Copy a card, and the weights file beside it, into a folder; returns the copy of the card."""
    from models.cards import read_card, write_card
    from models.weights import random_seed, weights_path

    card = read_card(path)
    folder.mkdir(parents=True, exist_ok=True)
    beside = ":" not in card.weights and not Path(card.weights).is_absolute()
    if random_seed(card) is None:
        source, target = weights_path(card, path.parent), folder / card.weights
        if beside and source.resolve() != target.resolve():
            shutil.copyfile(source, target)
    return write_card(card, None, folder)


def list_releases(
    folder: Annotated[Path, typer.Argument(help="folder whose subfolders are releases")] = Path("var/releases"),
) -> None:
    """List the release that ships and those in a folder.

    Example: `atelier release list var/releases`
    """
    from models.release_cards import FILE, STARTER, read_release

    found = [STARTER, *sorted(path.parent for path in folder.glob(f"*/{FILE}"))]
    rows = []
    table = Table("release", "id", "backbone", "heads", "detector", "captioner")
    for path in found:
        cards = read_release(path)
        name = "starter" if path == STARTER else str(path)
        heads = sorted(cards.heads)
        table.add_row(
            name,
            cards.release_id,
            cards.backbone[0].name,
            ", ".join(heads),
            "yes" if cards.detector else "",
            "yes" if cards.captioner else "",
        )
        rows.append({"release": name, "release_id": cards.release_id, "heads": heads})
    console.print(table)
    emit({"releases": rows})


def show(release: Named = None) -> None:
    """Show the models of a release: labels, thresholds, licences, figures.

    Example: `atelier release show starter`
    """
    from models.release_cards import read_release
    from pipeline.releases import release_folder

    cards = read_release(release_folder(settings(), release))
    table = Table("model", "architecture", "labels", "figures on held-out data", "licence", "data")
    for card, _ in cards.all():
        table.add_row(
            f"{card.role} {card.name}",
            card.architecture,
            str(len(card.labels) or ""),
            _words(card.figures),
            card.licence,
            card.data,
        )
    console.print(table)
    emit(
        {
            "release_id": cards.release_id,
            "feature_id": cards.feature_id,
            "folder": str(cards.folder),
            "models": [card.as_dict() for card, _ in cards.all()],
        }
    )


def _words(figures: Any) -> str:
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            lines.append(f"{name}: " + ", ".join(f"{key} {number}" for key, number in value.items()))
        else:
            lines.append(f"{name} {value}")
    return "\n".join(lines)


def verify(release: Named = None) -> None:
    """Check the sha256 of every weights file of a release and load every model once.

    Example: `atelier release verify var/releases/2`
    """
    from models.release import load_release
    from pipeline.releases import release_folder

    loaded = load_release(release_folder(settings(), release))
    models = [f"{card.role} {card.name}" for card, _ in loaded.cards.all()]
    emit({"release_id": loaded.release_id, "verified": models, "device": loaded.device, "precision": loaded.precision})
