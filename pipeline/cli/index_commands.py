"""`atelier index ...`: build, judge, publish, go back, list and clean up the search index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.output import console, emit, progress
from pipeline.settings import settings

if TYPE_CHECKING:
    from pipeline.index.manifest import Manifest, Recall

commands = typer.Typer(no_args_is_help=True, help="Build, judge, publish and clean up the search index.")

Version = Annotated[str | None, typer.Argument(help="index version, as `atelier index list` names it; default: newest")]


def attach(app: typer.Typer) -> None:
    """Add the group to `app`."""
    app.add_typer(commands, name="index")


@commands.command()
def build(
    snapshot: Annotated[int | None, typer.Option(help="table snapshot to build from; default: the latest")] = None,
    run_id: Annotated[
        str | None, typer.Option(help="run this build belongs to; default: the one that took the snapshot")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="build every shard anew, whatever could be reused")] = False,
) -> None:
    """Build an index version from the tables and judge it; nothing goes live.

    Shards that did not change since the live version are reused, grown ones are added to. Where the tables and settings
    are those a version was built from, that version is returned at once ("reused": true).

    Example: `atelier index build && atelier index publish`
    """
    from pipeline.index.job import build_from_tables

    with progress("reading vectors", None, "vectors") as advance:
        built = build_from_tables(settings(), number=snapshot, run_id=run_id, full=full, advance=advance)
    _show(built.manifest)
    emit({**_summary(built.manifest), "reused": built.reused})


@commands.command()
def evaluate(
    version: Version = None,
    measure: Annotated[bool, typer.Option("--measure", help="measure anew, with other queries")] = False,
    seed: Annotated[int, typer.Option(help="which queries --measure draws")] = 1,
) -> None:
    """Hold a version's recall against the gates index.min_recall and index.min_shard_recall; exit code 4 if too low.

    Example: `atelier index evaluate --measure`
    """
    from pipeline.index.gallery import load_manifest
    from pipeline.index.job import index_store, measure_again
    from pipeline.index.judge import gate
    from pipeline.index.publish import newest

    store = index_store(settings())
    manifest = load_manifest(store, version or newest(store))
    if measure:
        manifest = manifest.model_copy(update={"judgement": measure_again(settings(), manifest.version, seed)})
    _show(manifest)
    gate(manifest, settings().index)
    emit({**_summary(manifest), "passed": True})


@commands.command()
def publish(
    version: Version = None,
    run_id: Annotated[
        str | None, typer.Option(help="run this belongs to; default: the one that built the version")
    ] = None,
) -> None:
    """Make a version live, if it passes the gates and is not of older tables than what is live.

    Readers that are open go on with what they have. Publishing what is live already changes nothing. While what is live
    is held by a rollback, nothing is published and the command still succeeds ("held": true), so that nights go on:
    `atelier index release-hold` lets the next publish through.
    """
    from pipeline.index.job import publish_version

    pointer = publish_version(settings(), version, run_id)
    if pointer.held:
        console.print(
            f"nothing was published: {pointer.version} is held by a rollback, `atelier index release-hold` ends that",
            style="yellow",
            markup=False,
        )
    emit(pointer.model_dump(mode="json"))


@commands.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="version to go back to; default: what was live before")] = None,
    hold: Annotated[
        bool, typer.Option("--hold/--no-hold", help="keep it live until `release-hold`, whatever later nights build")
    ] = True,
) -> None:
    """Make an earlier version live again, and hold it: the next nightly publish would bring the bad one back.

    Naming the version that is live holds that one.

    Example: `atelier index rollback`; once the cause is mended, `atelier index release-hold && atelier index publish`
    """
    from pipeline.index.job import index_store
    from pipeline.index.publish import rollback as swap

    emit(swap(index_store(settings()), version, hold=hold).model_dump(mode="json"))


@commands.command("release-hold")
def release() -> None:
    """Let the next publish replace what a rollback holds.

    Example: `atelier index release-hold && atelier index publish`
    """
    from pipeline.index.job import index_store
    from pipeline.index.publish import release_hold

    emit(release_hold(index_store(settings())).model_dump(mode="json"))


@commands.command("list")
def list_versions() -> None:
    """List the versions that are there, and which one is live."""
    from pipeline.index.gallery import load_manifest, read_pointer
    from pipeline.index.job import index_store
    from pipeline.index.publish import versions

    store = index_store(settings())
    pointer, _ = read_pointer(store)
    live = pointer.version if pointer else None
    table = Table("version", "", "snapshot", "vectors", "shards", "MB", "recall@10", "built", title="Index versions")
    summaries = []
    for name in versions(store):
        manifest = load_manifest(store, name)
        judged = manifest.judgement
        table.add_row(
            name,
            ("held" if pointer and pointer.held else "live") if name == live else "",
            str(manifest.snapshot),
            f"{manifest.vectors:,}",
            str(len(manifest.shards)),
            f"{manifest.bytes / 1e6:,.1f}",
            f"{judged.overall.at_10:.3f}" if judged else "",
            f"{manifest.built_at:%Y-%m-%d %H:%M}",
        )
        summaries.append(_summary(manifest))
    console.print(table)
    emit({"live": live, "held": bool(pointer and pointer.held), "versions": summaries})


@commands.command()
def gc(dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, remove nothing")] = False) -> None:
    """Remove old versions: all but the newest index.keep_versions, the live one, and the one before it.

    Example: `atelier index gc --dry-run`
    """
    from pipeline.index.job import index_store
    from pipeline.index.publish import collect_garbage

    garbage = collect_garbage(index_store(settings()), settings().index.keep_versions, dry_run=dry_run)
    emit({"dry_run": dry_run, "versions": garbage.versions, "files": len(garbage.keys), "bytes": garbage.bytes})


def _summary(manifest: Manifest) -> dict[str, Any]:
    """What a program wants to know of a version."""
    judged = manifest.judgement
    return {
        "version": manifest.version,
        "snapshot": manifest.snapshot,
        "release_id": manifest.release_id,
        "vectors": manifest.vectors,
        "products": manifest.products,
        "shards": len(manifest.shards),
        "bytes": manifest.bytes,
        "recall_at_10": judged.overall.at_10 if judged else None,
        "min_shard_recall_at_10": min((r.at_10 for r in judged.shards.values()), default=None) if judged else None,
        "latency_ms": judged.latency_ms if judged else {},
        "built_on": manifest.built_on,
        "build_seconds": round(manifest.build_seconds, 2),
    }


def _show(manifest: Manifest) -> None:
    """The shards of a version and how they were judged, for people."""
    table = Table("shard", "vectors", "kind", "lists looked at", "MB", "recall@1", "@10", "@100", "queries")
    judged = manifest.judgement
    for entry in manifest.shards:
        row = (
            entry.name,
            f"{entry.live:,}",
            entry.index_type,
            str(entry.probes or "all"),
            f"{entry.bytes / 1e6:.1f}",
        )
        table.add_row(*row, *_recalls(judged.shards.get(entry.name) if judged else None))
    if judged:
        for name, recall in judged.filtered.items():
            table.add_row(f"where {name} = the query's", "", "", "", "", *_recalls(recall))
        table.add_row("all", f"{manifest.vectors:,}", "", "", f"{manifest.bytes / 1e6:.1f}", *_recalls(judged.overall))
    table.title = f"Index {manifest.version}"
    console.print(table)


def _recalls(recall: Recall | None) -> tuple[str, ...]:
    if recall is None:
        return ("", "", "", "")
    return (f"{recall.at_1:.3f}", f"{recall.at_10:.3f}", f"{recall.at_100:.3f}", str(recall.queries))
