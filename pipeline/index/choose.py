"""Which kind of shard, how many of them, and what that costs: pure functions, so that every threshold is tested.

Figures behind the thresholds (100,000 x 512 numbers, one core, `benchmarks/index_against_autofaiss.py`): exact search
costs about 0.17 ms a thousand vectors. Inverted lists with 1-bit codes (RaBitQ, Gao and Long, arXiv 2405.12497) whose
candidates are ranked again by 8-bit vectors reach recall@10 of 0.99 at a hundredth of that, and by 16-bit vectors
0.999; lists with 8-bit codes alone reach the same 0.99 at half the speed. On features of real photos, 10 candidates a
result leave nothing out that 1-bit codes could find, without a rotation before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError

Codec = Literal["fp16", "rabitq"]
Ranker = Literal["", "sq8", "fp16"]

SHARD_VECTORS = 2_000_000
"""A group with more vectors is split by the hash of the vectors' ids."""
MAX_PARTS = 256
BLOCK_VECTORS = 8_192
"""Vectors that are converted and added at once."""
SQ8_CEILING = 0.99
"""A higher target for recall@10 ranks by 16 bits a number: 8 reach 0.98 to 0.995, the less the closer neighbors lie."""
ONE_BIT_FROM = 128
"""Shorter vectors are kept whole in their lists: one bit a number says too little of so few numbers."""
TRAIN_PER_LIST = 20
"""Training vectors a list: twice as many cost twice the training and save a twentieth of the lists to look at."""
ROW_BYTES = 64
"""Memory of one gallery row during a build: id, its sort order, shard, batch."""
TEXT_BYTES = 256
"""Memory of the columns of one row while its shard's part of ids.parquet is written."""
PROGRAM_BYTES = 200 * 2**20
"""Memory of the program before it has read anything."""
GIB = 2**30


@dataclass(frozen=True)
class Choice:
    """What one shard is made of.

    `lists` is 0 for exact search. With a `ranker` candidates are ranked again by vectors of 8 or 16 bits a
    number, which lie in a file of their own and are mapped, not read.
    """

    codec: Codec
    lists: int = 0
    ranker: Ranker = ""

    @property
    def exact(self) -> bool:
        """Whether every vector is looked at, at full precision."""
        return self.lists == 0

    @property
    def name(self) -> str:
        """As written in the manifest, in the manner of FAISS's factory: Exact,FP16 or IVF894,RABITQ,Rerank-SQ8."""
        family = "Exact" if self.exact else f"IVF{self.lists}"
        return f"{family},{self.codec.upper()}" + (f",Rerank-{self.ranker.upper()}" if self.ranker else "")


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
    if dim < ONE_BIT_FROM:
        return Choice("fp16", list_count(n))
    finest = Choice("rabitq", list_count(n), "fp16")
    if target > SQ8_CEILING and vector_bytes(finest, dim) * n <= memory_bytes:
        return finest
    return Choice("rabitq", finest.lists, "sq8")


def list_count(n: int) -> int:
    """Inverted lists for `n` vectors: 2 * sqrt(n) balances the cost of choosing lists against that of scanning them."""
    return max(16, min(16_384, round(2 * math.sqrt(n))))


def vector_bytes(choice: Choice, dim: int) -> int:
    """Bytes one vector occupies in a shard that is open: its code, its 8-byte id, and what ranks it again."""
    if choice.exact:
        return 2 * dim
    code = {"fp16": 2 * dim, "rabitq": -(-dim // 8) + 8}[choice.codec]
    return code + 8 + {"": 0, "sq8": dim, "fp16": 2 * dim}[choice.ranker]


def training_size(choice: Choice, n: int) -> int:
    """Vectors a shard is trained on; 0 where nothing is trained."""
    return 0 if choice.exact else min(n, TRAIN_PER_LIST * choice.lists)


def build_bytes(choice: Choice, n: int, dim: int) -> int:
    """Memory of building one shard: codes (they grow by doubling), text, the sample twice, the centers, blocks."""
    codes = 2 * vector_bytes(choice, dim) * n
    sample = 2 * 4 * dim * training_size(choice, n)
    return codes + TEXT_BYTES * n + sample + 4 * dim * choice.lists + 3 * 4 * dim * BLOCK_VECTORS


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
    rows = PROGRAM_BYTES + ROW_BYTES * total
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
    """Peak memory of a build: the gallery's rows and the largest shard, as one is built at a time.

    What DuckDB takes to read the tables comes on top: `sql.memory_gib`, and what needs more goes to disk.
    """
    shards = [build_bytes(plan.choice, math.ceil(counts[plan.group] / plan.parts), dim) for plan in plans]
    return PROGRAM_BYTES + ROW_BYTES * sum(counts.values()) + max(shards, default=0)
