"""The release that the settings name, loaded the way the enrich job runs it."""

from __future__ import annotations

from models.devices import capabilities, choose
from models.release import Release, load_release
from pipeline.enrich.crew import cores
from pipeline.enrich.streams import CPU_PASS_IMAGES, CUDA_STREAMS
from pipeline.errors import InputError
from pipeline.releases import release_folder
from pipeline.settings import Settings


def load_models(settings: Settings) -> Release:
    """Load the models of `release.uri` for `enrich.device` and `enrich.precision`.

    Raises:
        SettingError: no such release.
        CardError: the release can't be used.
        DeviceError: the device or precision that was asked for is not there; the message names the setting.
    """
    enrich = settings.enrich
    device = choose(enrich.device, enrich.precision, capabilities()).device
    images = enrich.model_images if device == "cuda" else min(enrich.model_images, CPU_PASS_IMAGES)
    return load_release(release_folder(settings), enrich.device, enrich.precision, batch_images=images)


def streams_of(settings: Settings, release: Release) -> int:
    """How many passes run at once: on a CPU one a thread of `enrich.threads`."""
    return CUDA_STREAMS if release.device == "cuda" else settings.enrich.threads or cores()


def check_release(found: str, planned: str) -> None:
    """Refuse to read a plan's photos with another release than it was made for.

    Raises:
        InputError: the two release ids differ.
    """
    if found != planned:
        raise InputError(
            f"the plan was made for release {planned}, but release.uri is {found}: make a new plan, or set release.uri "
            "back"
        )
