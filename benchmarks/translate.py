"""Variants a second: pictures translated one by one against batches, and how near both come to what the machine can do.

    python benchmarks/translate.py [--generator ganilla_no_skip] [--size 128] [--width 64] [--pictures 32] [--repeats 5]
                                   [--threads 1] [--device cpu] [--json]

First weights, which are as fast as trained ones. Sizes of a batch take turns, so that a machine that grows slower grows
slower for all; medians of CPU seconds (of wall seconds on a GPU). The limit is measured in the same run: a large
product of matrices in the same precision. A network that reaches a share s of it one by one can gain 1 / s from batches
at the most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.cards import Card
from models.devices import Placement, capabilities, choose
from models.translation.networks import GENERATORS, build_generator
from models.translation.pictures import preprocessing
from models.translation.translator import ROLE, Translator

BATCHES = (1, 2, 4, 8, 16, 32)
MATRIX = 2048


def clock(device: str) -> float:
    """Seconds that count: of the processor, or on the wall once a GPU is through."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def product_rate(placement: Placement) -> float:
    """Operations a second (a multiplication and an addition are two) of a product of large matrices."""
    a = torch.randn(MATRIX, MATRIX, device=placement.device, dtype=placement.dtype)
    begin = clock(placement.device)
    a @ a
    return 2 * MATRIX**3 / (clock(placement.device) - begin)


def operations(translator: Translator, picture: np.ndarray) -> int:
    """Operations that one picture takes."""
    with FlopCounterMode(display=False) as counter:
        translator(picture[None])
    return int(counter.get_total_flops())


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed."""
    placement = choose(asked.device, "auto", capabilities())
    size, network = asked.size, build_generator(asked.generator, asked.width)
    card = Card(
        ROLE, "untrained", asked.generator, "", preprocessing=preprocessing(size), options={"from": "a", "to": "b"}
    )
    translators = {batch: Translator(card, network, placement, batch) for batch in BATCHES}
    pictures = np.random.default_rng(0).integers(0, 256, (asked.pictures, 3, size, size), np.uint8)
    for translator in translators.values():
        translator(pictures[: translator.batch])
    seconds: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    products = [product_rate(placement)]
    for _ in range(asked.repeats):
        products.append(product_rate(placement))
        for batch, translator in translators.items():
            begin = clock(placement.device)
            translator(pictures)
            seconds[batch].append(clock(placement.device) - begin)
    rates = {batch: asked.pictures / statistics.median(found) for batch, found in seconds.items()}
    each, limit = operations(translators[1], pictures[0]), statistics.median(products)
    return {
        "generator": asked.generator,
        "size": size,
        "width": asked.width,
        "device": placement.device,
        "precision": placement.precision,
        "threads": torch.get_num_threads(),
        "gigaoperations_a_picture": round(each / 1e9, 2),
        "product_gigaoperations_s": round(limit / 1e9, 1),
        "batches": {
            batch: {
                "images_s": round(rate, 1),
                "ratio": round(rate / rates[1], 2),
                "share_of_limit": round(rate * each / limit, 3),
            }
            for batch, rate in rates.items()
        },
        "highest_possible_ratio": round(limit / (rates[1] * each), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", default="ganilla_no_skip", choices=GENERATORS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=32, help="a multiple of 32, so that no batch is filled up")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--json", action="store_true", help="one line, for programs")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    found = measured(asked)
    if asked.json:
        print(json.dumps(found))
        return
    head = {key: value for key, value in found.items() if key != "batches"}
    print("\n".join(f"{key}: {value}" for key, value in head.items()))
    print(f"{'batch':>6} {'images/s':>9} {'ratio':>6} {'of limit':>9}")
    for batch, row in found["batches"].items():
        print(f"{batch:>6} {row['images_s']:>9} {row['ratio']:>6} {row['share_of_limit']:>9}")


if __name__ == "__main__":
    main()
