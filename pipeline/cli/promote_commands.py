"""`atelier release promote`, `rollback`: make a better release the live one, and go back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pipeline.cli.output import console, emit, log
from pipeline.errors import SettingError
from pipeline.settings import settings

if TYPE_CHECKING:
    from pipeline.promotion import HeadComparison

Root = Annotated[
    str | None, typer.Option("--in", help="folder or s3:// prefix of releases with the pointer; default: release.uri")
]


def attach(group: typer.Typer) -> None:
    """Add the commands to the group `release`."""
    group.command("promote")(promote)
    group.command("rollback")(rollback)


def promote(
    candidate: Annotated[
        str, typer.Argument(help="folder or s3:// prefix of the release that may become the live one")
    ],
    features: Annotated[
        list[Path], typer.Option("--features", help="labelled photos, made by `atelier features`; again for more")
    ],
    over: Annotated[str | None, typer.Option(help="release to beat; default: the live one")] = None,
    root: Root = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="split.parquet of the run that trained it: its test products judge")
    ] = None,
    held_out: Annotated[float, typer.Option(help="share of the products held out, as in training")] = 0.15,
    split_seed: Annotated[int, typer.Option(help="seed of the split, as in training")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compare only; nothing goes live")] = False,
) -> None:
    """Make a release the live one, if its heads read held-out products better than those of the release it replaces.

    Both read the same photos of the same products. A head is better or worse only where a 95 % interval over draws
    of products is wholly on one side. The candidate passes if a head is better or new, none is worse, and none is gone;
    else the command ends with exit code 4 and what is live stays live. Only heads are compared.

    The release is copied to `<root>/<release_id>`, then the pointer `<root>/CURRENT.json` is swapped. Set release.uri
    to the root once: from then on a promotion takes effect with the next command. The photos then count as new for
    the release; for a large catalog let `catalog_backfill` read them with --release first.

    Example: `atelier release promote var/releases/2 --over starter --features var/features/shop --in var/releases`
    """
    from models.release_cards import read_release
    from models.training.features import join_features, read_features
    from models.training.splits import Split, read_split
    from pipeline import releases
    from pipeline.promotion import compare_releases, refuse_unless_better
    from pipeline.storage import open_store

    chosen = settings()
    place = _root(root)
    store = open_store(place, chosen)
    live, _ = releases.read_live(store)
    current = over or (place if live else chosen.release.uri)
    ours, theirs = releases.release_folder(chosen, candidate), releases.release_folder(chosen, current)
    rule = Split(split_seed, test=held_out)
    data = join_features([read_features(folder) for folder in features])
    compared = compare_releases(ours, theirs, data, read_split(split, rule) if split else rule)
    _show(compared)
    figures = [asdict(one) for one in compared]
    before = read_release(theirs).release_id
    facts = {"candidate": read_release(ours).release_id, "over": before, "heads": figures}
    refuse_unless_better(compared)
    if dry_run:
        emit({**facts, "promoted": False})
        return
    pointer = releases.promote(store, ours, (current, before), figures)
    if chosen.release.uri.rstrip("/") != place.rstrip("/"):
        log.warning("release.uri is %s: set it to %s for the promoted release to be used", chosen.release.uri, place)
    emit({**facts, "promoted": True, "release": f"{place.rstrip('/')}/{pointer.release}", "sequence": pointer.sequence})


def rollback(root: Root = None) -> None:
    """Make the release live again that was before the last promotion. Again: forward again.

    What it has read is there still: photos that came in between are all that is pending.

    Example: `atelier release rollback`
    """
    from pipeline import releases
    from pipeline.storage import open_store

    emit(asdict(releases.go_back(open_store(_root(root), settings()))))


def _root(root: str | None) -> str:
    """The folder of releases."""
    found = root or settings().release.uri
    if found == "starter" or (Path(found) / "release.toml").is_file():
        raise SettingError(
            f"release.uri is {found!r}, one release: name a folder of releases, with --in or as release.uri"
        )
    return found


def _show(compared: list[HeadComparison]) -> None:
    """The figures for people."""
    table = Table("head", "photos", "products", "current", "candidate", "difference, 95 %", "")
    for one in compared:
        scores = (f"{value:.3f}" for value in (one.current, one.candidate))
        table.add_row(
            one.head, str(one.photos), str(one.products), *scores, f"{one.low:+.3f} to {one.high:+.3f}", one.verdict
        )
    table.title = "Held-out photos read right"
    console.print(table)
