"""Choosing the device of a build, with CPU indexes in the place of a GPU's."""

import numpy as np
import pytest

from pipeline.errors import SettingError
from pipeline.index import device, shards
from pipeline.index.choose import Choice
from pipeline.index.searching import Segment, Shard
from pipeline.index.shards import faiss


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)


def broken(dim):
    raise RuntimeError("no kernel image is available for execution on the device")


class Wrong(faiss.IndexFlatIP):
    """An index whose answers are nonsense."""

    def search(self, queries, k):
        return np.zeros((len(queries), k), np.float32), np.full((len(queries), k), 7)


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused():
    assert device.build_device("auto") == device.build_device("cpu") == device.BuildDevice("cpu")
    with pytest.raises(SettingError, match=r"index\.device is cuda, but this FAISS sees no GPU"):
        device.build_device("cuda")


def test_a_gpu_that_answers_is_used(monkeypatch):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(device, "_gpu_flat", faiss.IndexFlatIP)
    assert device.build_device("auto").name == "cuda"


@pytest.mark.parametrize(("make", "why"), [(broken, "failed: no kernel image"), (Wrong, "wrong neighbors")])
def test_a_gpu_that_fails_or_lies_is_noted_and_the_cpu_used(monkeypatch, make, why):
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(device, "_gpu_flat", make)
    chosen = device.build_device("auto")
    assert chosen.name == "cpu"
    assert why in chosen.note
    with pytest.raises(SettingError, match=why):
        device.build_device("cuda")


@pytest.mark.parametrize("choice", [Choice("fp16"), Choice("fp16", 20), Choice("rabitq", 20)], ids=lambda c: c.name)
def test_lists_found_elsewhere_give_the_same_shard(choice, vectors):
    gallery = vectors(1_200)
    made = []
    for flat in (None, faiss.IndexFlatIP):
        index = shards.train(choice, gallery.shape[1], gallery[:800].astype(np.float32), flat)
        shards.add(index, gallery, flat)
        made.append(Shard((Segment(index),), choice, 4))
    queries = vectors(30, seed=4).astype(np.float32)
    a, b = (shard.search(queries, 10, probes=4) for shard in made)
    assert np.array_equal(a[1], b[1])
