"""All settings, frozen and typed; the only module that reads the environment.

A setting is looked for in this order: the environment (`ATELIER_CATALOG__URI`), the file named by `ATELIER_CONFIG`
or `atelier.toml` in the working folder (`[catalog]` / `uri = "..."`), the default below. Unknown names are refused.
S3 credentials are not settings: boto3 finds them the standard way (environment, profile, role).
"""

from __future__ import annotations

import os
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError

from pipeline.errors import SettingError


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CatalogSettings(Section):
    """Where the shop's photos and feed are."""

    uri: str = Field("var/catalog", description="folder or s3://bucket/prefix that holds the photos")
    feed: str | None = Field(
        None,
        description="the feed (Parquet or CSV), relative to uri or absolute; default: uri/feed.parquet or feed.csv",
    )
    suffixes: tuple[str, ...] = Field(
        (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"),
        description="keys that count as photos, by ending, in lower case",
    )
    product_id_pattern: str = Field(
        r"(?:^|/)(?P<product_id>[^/_.]+)[^/]*$",
        description="regular expression with a group `product_id`, searched in the photo's key",
    )


class WarehouseSettings(Section):
    """Where tables, indexes, variants and reports are written."""

    uri: str = Field("var/warehouse", description="folder or s3://bucket/prefix")


class S3Settings(Section):
    """How S3-protocol stores are reached; credentials come the standard way, never from here."""

    endpoint_url: str | None = Field(None, description="for stores other than AWS, e.g. http://127.0.0.1:8333")
    connect_timeout_s: float = Field(5.0, gt=0)
    read_timeout_s: float = Field(20.0, gt=0)
    max_connections: int = Field(64, ge=1)

    @field_validator("endpoint_url")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        """This setting is named in messages, logs and reports."""
        if value and "@" in value:
            raise ValueError("it holds a user name or password; credentials come from the environment or a profile")
        return value


class FetchSettings(Section):
    """How photos are read from the store."""

    threads: int = Field(16, ge=1, description="concurrent requests")
    timeout_s: float = Field(60.0, gt=0, description="time limit of one photo, retries included")
    attempts: int = Field(4, ge=1, description="tries of one photo within the time limit")
    max_bytes: int = Field(50 * 2**20, ge=1, description="larger objects go to quarantine: too_many_bytes")


class DecodeSettings(Section):
    """What counts as a usable photo."""

    threads: int = Field(0, ge=0, description="decoding threads; 0 = one a core")
    max_pixels: int = Field(100_000_000, ge=1, description="larger photos go to quarantine: too_many_pixels")
    min_side: int = Field(16, ge=1, description="photos with a shorter side go to quarantine: too_small")
    timeout_s: float = Field(20.0, gt=0, description="time limit of decoding one photo")
    working_side: int = Field(
        448, ge=64, description="photos are decoded so that the short side stays at least this long, pixels"
    )


class EnrichSettings(Section):
    """The batch job."""

    batch_images: int = Field(2048, ge=1, description="images a batch: the unit of work, retry and commit")
    model_images: int = Field(32, ge=1, description="images a forward pass; on a CPU at most 8, which is as fast")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="asking for cuda where there is none is an error"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the hardware multiplies it natively"
    )
    threads: int = Field(0, ge=0, description="forward passes side by side on a CPU; 0 = one a core")
    parts: int = Field(
        1, ge=1, le=256, description="tasks one run is cut into at the most; one uses all cores of a machine"
    )
    max_transient_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="a batch with a larger share of failed fetches fails as a whole: the store is down, not the photos",
    )
    retry_after_s: float = Field(
        3600.0, ge=0, description="wait before a failed fetch is pending again; doubles with every attempt"
    )
    retry_attempts: int = Field(8, ge=1, description="failed fetches of one photo version before it waits for a person")
    max_garments: int = Field(8, ge=1, le=100, description="garments kept an image, best first")


class VariantRule(Section):
    """Which photos a translator turns into what; a photo that several rules hold for gets a variant of each."""

    translator: str = Field(min_length=1, description="card of a translator: a .toml on this machine or s3://...")
    where: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        min_length=1,
        description="head -> labels, one of which the photo's main garment has to bear; with several heads all count",
    )
    target_group: str = Field(description="group of garments that is made, and later recommended, e.g. footwear")
    min_score: float = Field(0.5, ge=0, le=1, description="score that each of those labels needs")


class VariantsSettings(Section):
    """Pictures of other garments made from photos while they are enriched (docs/translation.md)."""

    rules: tuple[VariantRule, ...] = Field(
        (),
        description='which photos get variants: [{"translator": ".../dress_to_shoe.toml", "where": {"type": '
        '["Dress"]}, "target_group": "footwear", "min_score": 0.5}]; none: no photo does',
    )


class ReleaseSettings(Section):
    """Which models read the photos."""

    uri: str = Field(
        "starter", description="`starter` (ships with Atelier), or the folder or s3:// prefix of a release"
    )
    cache: str = Field(
        "var/cache/releases",
        description="local folder for releases fetched from S3; a relative path counts from the working folder",
    )


class IndexSettings(Section):
    """How the search index is built and what it has to reach."""

    kinds: tuple[Literal["image", "garment"], ...] = Field(("image",), description="which embeddings are searched")
    exact_below: int = Field(50_000, ge=1, description="shards with fewer vectors are searched exactly")
    held_out: int = Field(500, ge=1, description="queries held out of the index to judge it, at the most")
    min_recall: float = Field(0.95, ge=0, le=1, description="recall@10 an index needs to be published")
    min_shard_recall: float = Field(
        0.90, ge=0, le=1, description="recall@10 that every shard and filter needs for an index to be published"
    )
    target_recall: float = Field(
        0.98, ge=0, le=1, description="recall@10 that shards are tuned to; higher is slower to search"
    )
    max_shrink: float = Field(
        0.5, ge=0, le=1, description="share of the live index's vectors that a new one may lack and still be published"
    )
    threads: int = Field(0, ge=0, description="CPU threads of building and searching; 0 = one a core")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where an index is built; auto: on a GPU if a trial search on it works"
    )
    cache: str = Field(
        "var/cache/index",
        description="local folder for builds and for shard files of an index that lies on S3; a relative path counts "
        "from the working folder",
    )
    keep_versions: int = Field(5, ge=1, description="index versions that gc keeps besides the live one")
    memory_gib: float = Field(8.0, gt=0, description="memory a build may use; more is refused before it starts")
    search_memory_gib: float = Field(
        8.0, gt=0, description="memory an open index may occupy; 16-bit vectors that do not fit are kept in 8 bits"
    )


class SqlSettings(Section):
    """How SQL over the tables runs (DuckDB)."""

    memory_gib: float = Field(4.0, gt=0, description="memory of one connection; what needs more goes to `spill`")
    threads: int = Field(0, ge=0, description="CPU threads of one connection; 0 = one a core")
    spill: str = Field(
        "var/cache/sql",
        description="local folder for what does not fit into memory; a relative path counts from the working folder",
    )


class ChecksSettings(Section):
    """Limits of the data checks in sql/checks, where they are the row of the table `limits`."""

    block: tuple[str, ...] = Field((), description="names of checks that block although their file says warning")
    fresh_hours: float = Field(
        36.0, gt=0, description="warn where the catalog was listed longer ago, or a photo has been waiting longer"
    )
    catalog_shrink: float = Field(
        0.5, ge=0, le=1, description="block where the catalog lost a larger share of its trailing mean of photos"
    )
    volume_factor: float = Field(
        5.0, gt=1, description="warn where a run enriched so many times more or fewer photos than the trailing mean"
    )
    trailing_runs: int = Field(14, ge=1, description="runs that make a trailing mean, at the most")


class DriftSettings(Section):
    """When a run's photos count as other than those of the runs before it (`atelier drift`)."""

    window_runs: int = Field(14, ge=1, description="runs before this one that it is compared with, at the most")
    min_photos: int = Field(100, ge=1, description="with fewer photos on either side nothing is judged")
    sample: int = Field(20_000, ge=1, description="vectors of a run that its sketch is made of, about, at the most")
    labels: float = Field(
        0.05, gt=0, le=1, description="alarm level of a head's labels: Jensen-Shannon divergence, 0 to 1 bit"
    )
    scores: float = Field(
        0.05, gt=0, le=1, description="alarm level of a head's scores: Jensen-Shannon divergence, 0 to 1 bit"
    )
    vectors: float = Field(
        0.05, gt=0, description="alarm level of the embeddings: squared MMD as a share of the reference's spread"
    )


class PublishSettings(Section):
    """Plain Parquet copies of `enriched` and `products` (`atelier tables publish`)."""

    keep_versions: int = Field(3, ge=1, description="versions that gc keeps besides the live one and the one before")
    file_mib: int = Field(128, ge=1, description="a Parquet file is closed when it has grown to this size")


class ReportSettings(Section):
    """How much a run's page shows (`atelier report`); it stays below 5 MB whatever the run's size."""

    gallery_photos: int = Field(24, ge=0, le=60, description="photos in the gallery, at the most")
    look_photos: int = Field(8, ge=0, le=20, description="photos in each list of those worth a look, at the most")
    reject_photos: int = Field(30, ge=0, le=60, description="photos shown of the quarantine, at the most")
    thumbnail_bytes: int = Field(
        3_300_000, ge=0, le=4_000_000, description="bytes of all thumbnails of a page; what is beyond is left out"
    )


class AirflowSettings(Section):
    """How DAG tasks start the product's commands."""

    launcher: tuple[str, ...] = Field(
        (),
        description='command in place of `atelier`, e.g. ["docker", "run", ..., "atelier"]; empty: this environment\'s',
    )
    schedule: str | None = Field("0 2 * * *", description="cron of the nightly run, UTC; empty for none")
    night_images: int | None = Field(
        None, ge=1, description="photos of one night at the most, newest first; set it while a backfill does the rest"
    )
    wave_images: int = Field(100_000, ge=1, description="photos of one wave of `catalog_backfill`, at the most")
    wave_parts: int = Field(2, ge=1, le=256, description="tasks that one wave is cut into, at the most")
    partition: str | None = Field(
        None,
        description="prefix of the photos of one day, by the start of a run's data interval, e.g. "
        "incoming/%Y-%m-%d/: what `airflow backfill create` works off",
    )
    maintenance_schedule: str | None = Field("0 12 * * 0", description="cron of `maintenance`, UTC; empty for none")
    training_schedule: str | None = Field(None, description="cron of `model_training`, UTC; empty: by hand")
    alert: tuple[str, ...] = Field(
        (),
        description="command that is told of a failed or late run: one JSON object on its standard input, e.g. "
        '["curl", "-sfd", "@-", "https://..."]',
    )
    deadlines: bool = Field(
        False, description="tell `alert` of late runs too; needs a triggerer, and no `airflow dags test` (Airflow 3.3)"
    )


class MaintenanceSettings(Section):
    """What `atelier tables compact` and `atelier tables vacuum` leave alone."""

    keep_days: int = Field(
        30, ge=8, description="days that snapshots can be read and plans stay; longer than any task may run"
    )
    compact_files: int = Field(20, ge=2, description="small files of a table that are worth writing anew")


class DaskSettings(Section):
    """Enrichment and feature extraction on a cluster of processes (docs/scaling.md)."""

    enabled: bool = Field(False, description="true: `enrich` and `features` work on a Dask cluster")
    address: str | None = Field(
        None,
        description="scheduler, e.g. tcp://dask-scheduler:8786; none: workers on this machine, for the time of the job",
    )
    timeout_s: float = Field(60.0, gt=0, description="how long a scheduler, or a worker that fits, is waited for")
    ahead: int = Field(
        1,
        ge=0,
        description="batches that wait in the cluster for every one that is worked on; bounds what is under way",
    )
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {},
        description='what a batch takes of its worker, e.g. {"GPU": 1}: only workers that offer it (`dask worker '
        '--resources "GPU=1"`) get any; workers on this machine offer 1 of each',
    )
    workers: int = Field(
        0, ge=0, description="workers on this machine; 0 = one a core, as far as the memory goes (2 GiB each)"
    )
    threads_per_worker: int = Field(
        1, ge=1, description="batches at once in a worker on this machine; 2 keep a GPU busy"
    )
    allowed_failures: int = Field(
        3, ge=0, description="workers on this machine that may die over one batch before it is taken for the reason"
    )
    dashboard: str = Field(
        "127.0.0.1:8787", description="where the page about the workers on this machine is served; empty: nowhere"
    )


class TrainingSettings(Section):
    """What the DAG `model_training` learns from: labels as `atelier features` takes them."""

    labels: str | None = Field(None, description="CSV or Parquet with a row a photo, a path or s3://...; none: no run")
    images: str | None = Field(None, description="folder or prefix of the photos; default: the folder of the labels")
    file_column: str | None = Field(None, description="column with the photo's path under images; default: file")
    product_column: str | None = Field(None, description="column with the product: its photos stay together")
    heads: tuple[str, ...] = Field(("type",), description="what is learned: COLUMN or HEAD=COLUMN[:first-word]")
    folder: str = Field("var/training", description="folder of the runs; every task has to see the same one")
    releases: str = Field("var/releases", description="folder or prefix of releases that a candidate is promoted in")


class Settings(BaseSettings):
    """Everything that may differ between a laptop and a cluster."""

    model_config = SettingsConfigDict(env_prefix="ATELIER_", env_nested_delimiter="__", frozen=True, extra="forbid")

    catalog: CatalogSettings = CatalogSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    s3: S3Settings = S3Settings()
    fetch: FetchSettings = FetchSettings()
    decode: DecodeSettings = DecodeSettings()
    enrich: EnrichSettings = EnrichSettings()
    variants: VariantsSettings = VariantsSettings()
    release: ReleaseSettings = ReleaseSettings()
    index: IndexSettings = IndexSettings()
    sql: SqlSettings = SqlSettings()
    checks: ChecksSettings = ChecksSettings()
    drift: DriftSettings = DriftSettings()
    publish: PublishSettings = PublishSettings()
    report: ReportSettings = ReportSettings()
    airflow: AirflowSettings = AirflowSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    training: TrainingSettings = TrainingSettings()
    dask: DaskSettings = DaskSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file before defaults; arguments (tests, options) before all."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """The TOML file with settings: `ATELIER_CONFIG`, else `atelier.toml` in the working folder (it may be absent)."""
    named = os.environ.get("ATELIER_CONFIG")
    if named and not Path(named).is_file():
        raise SettingError(f"ATELIER_CONFIG names {named}, which is not a file")
    return Path(named or "atelier.toml")


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` are sections as keyword arguments.

    Raises:
        SettingError: a name is unknown, a value is out of range or can't be parsed; the message names each one. What
            stands under an unknown name is never quoted: it may be a secret that was put in the wrong place.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc']))}: {e['msg']}"
            + ("" if e["type"] in {"extra_forbidden", "value_error"} else f" (was {e.get('input')!r})")
            for e in error.errors()
        ]
        raise SettingError("settings are wrong:\n" + "\n".join(lines)) from None
    except SettingsError as error:
        raise SettingError(f"settings are wrong: {error}: a list or a whole section is written as JSON") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"settings are wrong: {config_file()} is not TOML: {error}") from None


def unknown_variables() -> list[str]:
    """Names of environment variables that look like settings and are none, sorted: nothing would ever read them.

    A wrong name inside of a section (`ATELIER_CATALOG__URL`) is not among them: `load_settings` refuses it.
    """
    known = {"CONFIG", *(section.upper() for section in Settings.model_fields)}
    names = (name for name in os.environ if name.upper().startswith("ATELIER_"))
    return sorted(name for name in names if name.upper().removeprefix("ATELIER_").partition("__")[0] not in known)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings(**_given)


_given: dict[str, Any] = {}


def give(**sections: dict[str, Any]) -> None:
    """Have this process use other values than it finds: what options of the command line say, section by section."""
    _given.update(sections)
    settings.cache_clear()
