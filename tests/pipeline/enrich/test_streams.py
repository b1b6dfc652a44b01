"""Passes side by side: in order, bounded, on one thread each, and the same rows as one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import DeviceError
from models.release import Release
from pipeline.enrich.crew import cores
from pipeline.enrich.models import load_models, streams_of
from pipeline.enrich.query import embed_photos, read_photos
from pipeline.enrich.streams import CPU_PASS_IMAGES, Streams
from pipeline.errors import InputError, SettingError
from pipeline.settings import load_settings


def test_results_come_in_order_and_items_are_taken_just_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    with Streams(3) as streams:
        for done, result in enumerate(streams.map(work, items())):
            assert result == done
            assert len(taken) <= done + 1 + 3 + 1


def test_work_runs_side_by_side_on_one_torch_thread_each() -> None:
    meeting = threading.Barrier(2, timeout=10)
    before = torch.get_num_threads()

    def work(_: int) -> int:
        meeting.wait()  # passes only if two are here at once
        return torch.get_num_threads()

    with Streams(2) as streams:
        assert list(streams.map(work, range(2))) == [1, 1]
    assert torch.get_num_threads() == before


def test_errors_of_items_and_of_work_come_out() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("items")

    with Streams(2) as streams:
        with pytest.raises(KeyError, match="items"):
            list(streams.map(lambda number: number, items()))
        with pytest.raises(ZeroDivisionError):
            list(streams.map(lambda number: 1 // number, [1, 0, 1]))
        assert list(streams.map(str, range(3))) == ["0", "1", "2"]


def test_the_number_of_streams_changes_no_bit(release: Release, make_photo: Callable[..., bytes]) -> None:
    photos = [make_photo(seed) for seed in range(5)]
    one, three = (
        read_photos(photos, release, load_settings(decode={"working_side": 64}, enrich={"threads": count}))
        for count in (1, 3)
    )
    for first, second in zip(one, three, strict=True):
        assert first.features.tobytes() == second.features.tobytes()
        assert first.answers == second.answers
        assert first.caption == second.caption


def test_vectors_for_search_are_those_of_the_tables(
    release: Release, make_photo: Callable[..., bytes], tmp_path: Path
) -> None:
    settings = load_settings(decode={"working_side": 64})
    file = tmp_path / "photo.jpg"
    file.write_bytes(make_photo(3))
    vectors = embed_photos([file, make_photo(3), make_photo(4)], release, settings)
    assert vectors.dtype == np.float32 and vectors.shape == (3, release.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[1])
    (reading,) = read_photos([file], release, settings)
    garment = embed_photos([file], release, settings, kind="garment")[0]
    wanted = reading.features[min(1, len(reading.garments))]
    assert np.allclose(garment, wanted / np.linalg.norm(wanted), atol=1e-6)
    assert embed_photos([], release, settings).shape == (0, release.dim)
    with pytest.raises(InputError, match=r"absent\.jpg can't be read"):
        embed_photos([tmp_path / "absent.jpg"], release, settings)
    with pytest.raises(InputError, match="photo 0 is no usable photo: not_an_image"):
        embed_photos([b"<html>"], release, settings)


def test_models_are_loaded_as_the_settings_say(release_folder: Path, tmp_path: Path) -> None:
    settings = load_settings(release={"uri": str(release_folder)}, enrich={"device": "cpu", "precision": "fp32"})
    loaded = load_models(settings)
    assert (loaded.device, loaded.precision, loaded.batch_images) == ("cpu", "fp32", CPU_PASS_IMAGES)
    assert streams_of(settings, loaded) == cores()
    assert streams_of(load_settings(enrich={"threads": 3}), loaded) == 3
    with pytest.raises(SettingError, match=r"release\.uri"):
        load_models(load_settings(release={"uri": str(tmp_path / "nothing")}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_names_the_setting(release_folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"enrich\.device"):
        load_models(load_settings(release={"uri": str(release_folder)}, enrich={"device": "cuda"}))
