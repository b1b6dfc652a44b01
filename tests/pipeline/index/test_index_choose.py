"""Every threshold of the choice, on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingError
from pipeline.index.choose import (
    GIB,
    MAX_PARTS,
    ONE_BIT_FROM,
    SHARD_VECTORS,
    SQ8_CEILING,
    Choice,
    build_bytes,
    choose,
    list_count,
    peak_bytes,
    plan_shards,
    vector_bytes,
)


def pick(n, dim=512, memory_bytes=8 * GIB, exact_below=50_000, target=0.98):
    return choose(n, dim, memory_bytes=memory_bytes, exact_below=exact_below, target=target)


def plan(counts, dim, memory_gib):
    return plan_shards(counts, dim, memory_gib=memory_gib, search_memory_gib=8, exact_below=50_000, target=0.98)


def test_exact_below_the_threshold_and_lists_from_it_on():
    assert pick(49_999).name == "Exact,FP16"
    assert pick(50_000).name == "IVF447,RABITQ,Rerank-SQ8"


def test_short_vectors_are_kept_whole_in_their_lists():
    assert pick(50_000, dim=ONE_BIT_FROM - 1).name == "IVF447,FP16"
    assert pick(50_000, dim=ONE_BIT_FROM).codec == "rabitq"


def test_a_handful_of_vectors_is_never_clustered():
    assert pick(255, exact_below=1).exact
    assert not pick(256, exact_below=1).exact


def test_candidates_are_ranked_by_sixteen_bits_for_a_high_target_if_they_fit_in_memory():
    need = 1_000_000 * vector_bytes(Choice("rabitq", 2_000, "fp16"), 512)
    above = SQ8_CEILING + 0.001
    assert pick(1_000_000, target=above, memory_bytes=need).name == "IVF2000,RABITQ,Rerank-FP16"
    assert pick(1_000_000, target=above, memory_bytes=need - 1).ranker == "sq8"
    assert pick(1_000_000, target=SQ8_CEILING, memory_bytes=need).ranker == "sq8"


def test_bytes_of_a_vector_are_its_code_its_id_and_what_ranks_it():
    assert vector_bytes(Choice("fp16"), 512) == 1_024
    assert vector_bytes(Choice("fp16", 16), 512) == 1_032
    assert vector_bytes(Choice("rabitq", 16, "sq8"), 512) == 64 + 8 + 8 + 512


@pytest.mark.parametrize(("n", "lists"), [(1, 16), (64, 16), (65, 16), (100, 20), (1_000_000, 2000), (10**9, 16_384)])
def test_lists_grow_with_the_root_of_n_within_bounds(n, lists):
    assert list_count(n) == lists


def test_a_group_is_split_when_it_is_too_large_for_one_shard():
    plans = plan({"bag": SHARD_VECTORS}, 64, 64)
    assert [plan.name for plan in plans] == ["bag"]
    plans = plan({"bag": SHARD_VECTORS + 1}, 64, 64)
    assert [(plan.name, plan.part, plan.parts) for plan in plans] == [("bag-0of2", 0, 2), ("bag-1of2", 1, 2)]


def test_a_group_is_split_when_one_shard_would_not_fit_in_memory():
    plans = plan({"bag": 1_000_000}, 1024, 2)
    assert len(plans) > 1
    assert peak_bytes(plans, {"bag": 1_000_000}, 1024) <= 2 * GIB


def test_too_little_memory_is_refused_with_the_setting_and_the_need():
    with pytest.raises(SettingError, match=r"needs \d+\.\d+ GiB of memory, index\.memory_gib allows 0\.1"):
        plan({"bag": 10_000_000}, 512, 0.1)


def test_nothing_to_index_needs_nothing():
    assert plan({}, 0, 8) == []


@given(
    st.dictionaries(st.sampled_from(["bag", "footwear", "whole"]), st.integers(1, 30_000_000), min_size=1),
    st.sampled_from([64, 512, 1280]),
    st.floats(0.5, 64),
)
def test_plans_keep_the_memory_or_are_refused(counts, dim, memory_gib):
    try:
        plans = plan(counts, dim, memory_gib)
    except SettingError:
        return
    assert peak_bytes(plans, counts, dim) <= memory_gib * GIB
    for group, n in counts.items():
        of_group = [plan for plan in plans if plan.group == group]
        assert [plan.part for plan in of_group] == list(range(of_group[0].parts))
        assert of_group[0].parts <= MAX_PARTS
        size = -(-n // of_group[0].parts)
        assert size <= SHARD_VECTORS
        assert build_bytes(of_group[0].choice, size, dim) > 0
    assert len({plan.name for plan in plans}) == len(plans)
