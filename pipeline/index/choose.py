"""Which kind of shard, how many of them, and what that costs: pure functions, so that every threshold is tested.

Figures behind the thresholds (512 numbers a vector, one core): exact search costs about 0.17 ms a thousand vectors;
inverted lists with 8-bit codes reach recall@10 of 0.99 at a fortieth of that; 1-bit codes need a sixth of the memory
and reach the same once their candidates are ranked again by the full vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError

Codec = Literal["fp16", "sq8", "rabitq"]

SHARD_VECTORS = 2_000_000
"""A group with more vectors is split by the hash of the vectors' ids."""
MAX_PARTS = 256
BLOCK_VECTORS = 8_192
"""Vectors that are converted and added at once."""
SQ8_CEILING = 0.995
"""A higher target for recall@10 keeps 16 bits a number: 8 reach 0.98 to 0.995, the less the closer neighbors lie."""
TRAIN_PER_LIST = 40
"""Training vectors a list: beyond about 40 k-means centers hardly move."""
RERANK = 10
"""Candidates a wanted result that 1-bit codes hand over to be ranked by the full vectors."""
ROW_BYTES = 64
"""Memory of one gallery row during a build: id, its sort order, shard, batch."""
GIB = 2**30


@dataclass(frozen=True)
class Choice:
    """What one shard is made of.

    `lists` is 0 for exact search. `rerank` > 0: that many candidates a wanted result are ranked again by float16
    vectors, which lie in a file of their own and are mapped, not read.
    """

    codec: Codec
    lists: int = 0
    rerank: int = 0

    @property
    def exact(self) -> bool:
        """Whether every vector is looked at, at full precision."""
        return self.lists == 0

    @property
    def name(self) -> str:
        """As written in the manifest, in the manner of FAISS's factory: Exact,FP16 or IVF894,SQ8."""
        family = "Exact" if self.exact else f"IVF{self.lists}"
        return f"{family},{self.codec.upper()}" + (f",Rerank{self.rerank}" if self.rerank else "")


def choose(n: int, dim: int, *, memory_bytes: int, exact_below: int, target: float) -> Choice:
    """Kind of shard for `n` vectors of `dim` numbers.

    Args:
        n: vectors in the shard.
        dim: numbers a vector.
        memory_bytes: what the shard may occupy while it is searched.
        exact_below: fewer vectors are searched exactly.
        target: recall@10 that is aimed at, 0 to 1.
    """
    if n < exact_below or n < 256:
        return Choice("fp16")
    lists = list_count(n)
    if target > SQ8_CEILING and code_bytes("fp16", dim) * n <= memory_bytes:
        return Choice("fp16", lists)
    if code_bytes("sq8", dim) * n <= memory_bytes:
        return Choice("sq8", lists)
    return Choice("rabitq", lists, RERANK)


def list_count(n: int) -> int:
    """Inverted lists for `n` vectors: 2 * sqrt(n) balances the cost of choosing lists against that of scanning them."""
    return max(16, min(16_384, round(2 * math.sqrt(n))))


def code_bytes(codec: Codec, dim: int) -> int:
    """Bytes one vector occupies in a shard that is open, its 8-byte id included."""
    numbers = {"fp16": 2 * dim, "sq8": dim, "rabitq": dim // 8 + 16}[codec]
    return numbers + 8


def training_size(choice: Choice, n: int) -> int:
    """Vectors a shard is trained on; 0 where nothing is trained."""
    return 0 if choice.exact else min(n, TRAIN_PER_LIST * choice.lists)


def build_bytes(choice: Choice, n: int, dim: int) -> int:
    """Peak memory of building one shard: its codes (lists grow by doubling), its sample twice, its centers, a block."""
    codes = code_bytes(choice.codec, dim) * n * (1 if choice.exact else 2)
    sample = 2 * 4 * dim * training_size(choice, n)
    return codes + sample + 4 * dim * choice.lists + 3 * 4 * dim * BLOCK_VECTORS


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be: part `part` of `parts` of the vectors of `group`."""

    name: str
    group: str
    part: int
    parts: int
    choice: Choice


def shard_name(group: str, part: int, parts: int) -> str:
    """`footwear`, or `footwear-03` where the group is split; parts keep their name until their number changes."""
    return group if parts == 1 else f"{group}-{part:0{len(str(parts - 1))}d}of{parts}"


def plan_shards(
    counts: Mapping[str, int],
    dim: int,
    *,
    memory_gib: float,
    search_memory_gib: float,
    exact_below: int,
    target: float,
) -> list[ShardPlan]:
    """Shards for `counts` (group -> vectors), by name; the number of parts of a group is a power of two.

    A shard's share of `search_memory_gib` is its share of the vectors.

    Raises:
        SettingError: the build would need more than index.memory_gib; the message says how much.
    """
    total = sum(counts.values())
    budget = int(memory_gib * GIB)
    rows = ROW_BYTES * total
    plans: list[ShardPlan] = []
    for group, n in sorted(counts.items()):
        parts = 1
        while True:
            size = math.ceil(n / parts)
            share = int(search_memory_gib * GIB) * size // total
            choice = choose(size, dim, memory_bytes=share, exact_below=exact_below, target=target)
            too_heavy = rows + build_bytes(choice, size, dim) > budget and size > BLOCK_VECTORS
            if parts >= MAX_PARTS or (size <= SHARD_VECTORS and not too_heavy):
                break
            parts *= 2
        plans += [ShardPlan(shard_name(group, part, parts), group, part, parts, choice) for part in range(parts)]
    need = peak_bytes(plans, counts, dim)
    if need > budget:
        raise SettingError(
            f"building an index of {total:,} vectors of {dim} numbers needs {need / GIB:.2f} GiB of memory, "
            f"index.memory_gib allows {memory_gib:g}"
        )
    return plans


def peak_bytes(plans: list[ShardPlan], counts: Mapping[str, int], dim: int) -> int:
    """Peak memory of a build: the gallery's rows and the largest shard, as one is built at a time."""
    shards = [build_bytes(plan.choice, math.ceil(counts[plan.group] / plan.parts), dim) for plan in plans]
    return ROW_BYTES * sum(counts.values()) + max(shards, default=0)
