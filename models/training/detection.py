"""Training of the garment detector: AdamW with warm-up and cosine, averaged weights, full-state resume.

A run's folder holds metrics.jsonl (a line every few steps, with TensorBoard's events beside it), state.pt (everything a
resume needs) and, at the end, the card with its weights. Pictures of step s depend on (seed, s) alone and nothing else
is random, so a run that was interrupted and resumed ends with the weights of one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.detector_network import GarmentDetector
from models.errors import DataError
from models.preprocessing import Preprocessing
from models.training.detection_augment import Augmentation, Draw, Picture, training_picture
from models.training.detection_data import Photo, PhotoReader, repeat_factors
from models.training.log import TrainingLog

STATE = "state.pt"
LOG_EVERY = 20
"""Steps a line of the log is the mean of."""


@dataclass(frozen=True)
class DetectorPlan:
    """Everything that decides the outcome of a training, besides data and starting weights.

    Args:
        size: side of the square input, pixels, a multiple of 32.
        steps: optimizer steps.
        batch: pictures a step.
        learning_rate: peak, of pyramid and head.
        backbone_rate: share of it that the backbone's trained stages get.
        train_backbone: False leaves the whole backbone as it is.
        average: decay of the running average of the weights, which is what is kept.
        warmup: steps of linear warm-up.
        seed: of the pictures.
        mosaic: share of pictures made of four photos.
        composed: share of pictures made of cut-outs.
        balance: groups in fewer photos than this share are drawn more often, see `repeat_factors`; 0: as they come.
    """

    size: int = 288
    steps: int = 1000
    batch: int = 16
    learning_rate: float = 1e-3
    backbone_rate: float = 0.25
    train_backbone: bool = True
    average: float = 0.995
    warmup: int = 100
    seed: int = 0
    mosaic: float = 0.25
    composed: float = 0.25
    balance: float = 0.0

    def __post_init__(self) -> None:
        if self.size % 32 or self.size < 64:
            raise DataError(f"size is a multiple of 32 and at least 64, not {self.size}")
        if min(self.steps, self.batch) < 1:
            raise DataError("steps and batch are at least 1")
        if min(self.seed, self.warmup) < 0:
            raise DataError("seed and warmup are at least 0")
        if not (0 < self.learning_rate < math.inf and 0 <= self.backbone_rate < math.inf):
            raise DataError("learning_rate is above 0, backbone_rate at least 0")
        shares = {name: getattr(self, name) for name in ("average", "mosaic", "composed", "balance")}
        if wrong := {name: share for name, share in shares.items() if not 0 <= share <= 1}:
            raise DataError(f"shares are between 0 and 1, not {wrong}")

    def rate_at(self, step: int) -> float:
        """Factor on the learning rates at `step` (from 0)."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Pictures:
    """Draws training pictures; a thread prepares the next step's while the network works on this one's."""

    def __init__(
        self,
        photos: Sequence[Photo],
        reader: PhotoReader,
        composed: Draw | None,
        augmentation: Augmentation,
        seed: int,
        balance: float = 0.0,
    ) -> None:
        if not photos:
            raise DataError("there is no photo to train on")
        self._photos = photos
        self._reader = reader
        self._composed = composed
        self._augmentation = augmentation
        self._seed = seed
        weights = np.array([photo.weight for photo in photos], np.float64) * repeat_factors(photos, balance)
        self._shares = np.cumsum(weights / weights.sum())

    def of_step(self, step: int, count: int) -> list[Picture]:
        """The pictures of one step, always the same ones."""
        return [self._picture(np.random.default_rng((self._seed, step, number))) for number in range(count)]

    def steps(self, first: int, last: int, count: int) -> Iterator[tuple[int, list[Picture]]]:
        """Step numbers from `first` up to before `last` with their pictures."""
        with ThreadPoolExecutor(1, thread_name_prefix="pictures") as ahead:
            coming = ahead.submit(self.of_step, first, count)
            for step in range(first, last):
                pictures = coming.result()
                if step + 1 < last:
                    coming = ahead.submit(self.of_step, step + 1, count)
                yield step, pictures

    def _picture(self, rng: np.random.Generator) -> Picture:
        return training_picture(rng, self._photo, self._composed, self._augmentation)

    def _photo(self, rng: np.random.Generator) -> Picture:
        index = min(int(np.searchsorted(self._shares, rng.random(), side="right")), len(self._photos) - 1)
        photo = self._photos[index]
        pixels, boxes = self._reader.read(photo)
        return Picture(pixels, boxes, photo.classes)


class DetectorTraining:
    """A training that can be stopped after any step and resumed.

    Args:
        network: is changed in place; its averaged copy is `averaged()`.
        preprocessing: of the detector's input.
        plan: what to do.
        folder: for state and metrics.
        device: cpu or cuda.
        data: digest of what is trained on and of where it starts; a resume with another one is refused.
    """

    def __init__(
        self,
        network: GarmentDetector,
        preprocessing: Preprocessing,
        plan: DetectorPlan,
        folder: Path,
        device: str = "cpu",
        data: str = "",
    ) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.preprocessing = preprocessing
        self.plan = plan
        self.folder = folder
        self.device = device
        self.data = data
        self.step = 0
        for stage in network.backbone.stages[1:]:
            stage.requires_grad_(plan.train_backbone)
        self._named = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._named.items()}
        self._optimizer = torch.optim.AdamW(self._groups(), lr=plan.learning_rate, weight_decay=0.02)
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate; norms and biases are not decayed."""
        groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self._named.items():
            groups.setdefault((name.startswith("backbone.stages"), parameter.ndim > 1), []).append(parameter)
        rate = self.plan.learning_rate
        return [
            {
                "params": parameters,
                "lr": rate * self.plan.backbone_rate if of_backbone else rate,
                "weight_decay": 0.02 if decayed else 0.0,
            }
            for (of_backbone, decayed), parameters in groups.items()
        ]

    def run(
        self,
        pictures: Pictures,
        advance: Callable[[int], None] = lambda count: None,
        stop_after: int | None = None,
        save_every: int = 200,
    ) -> None:
        """Train up to the plan's last step, or up to `stop_after`, saving the state now and then and at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        last = min(self.plan.steps, stop_after or self.plan.steps)
        started, sums = time.monotonic(), _Means()
        lines = TrainingLog(self.folder, after_epoch=self.step)
        for step, batch in pictures.steps(self.step, last, self.plan.batch):
            sums.add(self._one_step(step, batch))
            self.step = step + 1
            advance(1)
            if self.step % LOG_EVERY == 0 or self.step == last:
                means = {name: round(value, 5) for name, value in sums.take().items()}
                rate = self.plan.learning_rate * self.plan.rate_at(step)
                # photos are drawn, so there are no epochs: the log's axis is the step, as TensorBoard's is
                lines.add(self.step, **means, learning_rate=rate, seconds=round(time.monotonic() - started, 1))
            if self.step % save_every == 0 or self.step == last:
                self.save()

    def _one_step(self, step: int, batch: Sequence[Picture]) -> dict[str, float]:
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * self.plan.rate_at(step)
        pixels = torch.from_numpy(np.stack([picture.pixels for picture in batch])).permute(0, 3, 1, 2)
        ready = self.preprocessing.normalize(pixels.to(self.device)).contiguous(memory_format=torch.channels_last)
        targets = [
            {
                "boxes": torch.from_numpy(picture.boxes).to(self.device),
                "labels": torch.from_numpy(picture.classes).to(self.device),
            }
            for picture in batch
        ]
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            losses = self.network.losses(ready, targets)
        loss: torch.Tensor = torch.stack(list(losses.values())).sum()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(self._named.values()), 10.0)
        if not torch.isfinite(norm):
            raise DataError(
                f"the training lost its way at step {step}: the gradient is not finite; lower learning_rate"
            )
        self._optimizer.step()
        self._follow(step)
        return {"loss": loss.item()} | {name: value.item() for name, value in losses.items()}

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Move the averaged weights toward the present ones; faster at the start, when they change most."""
        decay = min(self.plan.average, (1 + step) / (10 + step))
        for name, parameter in self._named.items():
            self._average[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def averaged(self) -> GarmentDetector:
        """The network with the averaged weights in eval mode (the same object, its training weights replaced)."""
        for name, parameter in self._named.items():
            parameter.copy_(self._average[name])
        return self.network.eval()

    def save(self) -> Path:
        """Write everything a resume needs; the file appears whole or not at all."""
        path = self.folder / STATE
        state = {
            "plan": asdict(self.plan),
            "data": self.data,
            "step": self.step,
            "weights": {name: p.detach() for name, p in self._named.items()},
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)
        return path

    def resume(self) -> None:
        """Go on from the folder's state.

        Raises:
            DataError: there is none, or it belongs to another plan or other data.
        """
        path = self.folder / STATE
        if not path.is_file():
            raise DataError(f"there is no training to resume: no {path}")
        state = torch.load(path, map_location=self.device, weights_only=True)
        mine = asdict(self.plan)
        changed = sorted(name for name in mine if state["plan"].get(name) != mine[name])
        if changed:
            was = {name: state["plan"].get(name) for name in changed}
            raise DataError(f"{path} belongs to a training with {was}; resume it with the same options")
        if state.get("data", self.data) != self.data:
            raise DataError(
                f"{path} belongs to a training on other photos, boxes, split, cut-outs or starting weights; "
                "resume it with the same options"
            )
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(state["weights"][name])
                self._average[name].copy_(state["average"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])


class _Means:
    """Means of numbers by name since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: dict[str, float]) -> None:
        self._count += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        means = {name: total / max(1, self._count) for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
