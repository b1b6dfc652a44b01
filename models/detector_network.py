"""The one-stage garment detector: FCOS (Tian et al. 2019) on a backbone's pyramid, from torchvision's parts.

pixels -> backbone.stages (strides 8, 16, 32) -> feature pyramid -> shared towers -> class, box, center-ness a cell

Pyramid and towers are made of depthwise-separable convolutions: on a CPU the detector costs little more than its
backbone. The first stage of the backbone is never trained, so a detector's weights file doesn't hold it.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.ops import FeaturePyramidNetwork, generalized_box_iou_loss

from models.backbones import Backbone

STRIDES = (8, 16, 32)
FROZEN = "backbone.stages.0."
"""Names of the tensors that stay the backbone's own."""
FIRST_DISTANCE = 4.0
"""Distance to the box's sides, in strides, that an untrained detector says: the middle of a level's range."""
LEAST_SIDE = 16.0
"""In training, sides of boxes count as at least this long, pixels, when cells are assigned: see `Head`."""


def separable(channels: int) -> nn.Sequential:
    """Depthwise 3x3, then 1x1 convolution, group norm, ReLU; (N, c, h, w) keeps its shape."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.GroupNorm(channels // 8, channels),
        nn.ReLU(inplace=True),
    )


class Pyramid(nn.Module):
    """Feature pyramid on a backbone's three maps, all with `channels` channels."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.stages = backbone.stages
        self.fpn = FeaturePyramidNetwork(list(backbone.channels), channels)
        self.fpn.layer_blocks = nn.ModuleList(separable(channels) for _ in STRIDES)
        self.out_channels = channels

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, S, S) normalized to [(N, c, S/8, S/8), (.., S/16), (.., S/32)]."""
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self._half_first_stage(x)):
            x = self.stages[0](x)
        maps = [x.float() if self.training else x]
        for stage in self.stages[1:]:
            maps.append(stage(maps[-1]))
        named = OrderedDict((str(level), found) for level, found in enumerate(maps))
        return list(self.fpn(named).values())

    def _half_first_stage(self, x: torch.Tensor) -> bool:
        """In training on a CPU only the frozen stage gains from bf16: depthwise convolutions backwards lose."""
        native = torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
        return self.training and x.device.type == "cpu" and bool(native)


class Head(FCOSHead):
    """torchvision's FCOS head with depthwise-separable towers that also learns garments thinner than a cell.

    FCOS assigns a garment to the cells whose middle lies inside its box. The finest cells are 8 pixels apart, so a
    watch or a pair of glasses 5 pixels high often has none, or one at its rim with a center-ness near 0. Cells,
    classes and center-ness are therefore judged with boxes grown to `LEAST_SIDE`; what a cell has to say is the box
    itself.
    """

    def __init__(self, channels: int, classes: int, convs: int) -> None:
        super().__init__(channels, 1, classes, num_convs=0)
        self.classification_head.conv = nn.Sequential(*(separable(channels) for _ in range(convs)))
        self.regression_head.conv = nn.Sequential(*(separable(channels) for _ in range(convs)))
        nn.init.constant_(self.regression_head.bbox_reg.bias, FIRST_DISTANCE)

    def compute_loss(
        self,
        targets: list[dict[str, torch.Tensor]],
        head_outputs: dict[str, torch.Tensor],
        anchors: list[torch.Tensor],
        matched_idxs: list[torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """As FCOS's, but distances to the sides are learned from `exact`, the boxes (n, 4) before they were grown."""
        losses = super().compute_loss(targets, head_outputs, anchors, matched_idxs)
        said, wanted = [], []
        for row, (target, matched) in enumerate(zip(targets, matched_idxs, strict=True)):
            cells = (matched >= 0).nonzero()[:, 0]
            distances = head_outputs["bbox_regression"][row, cells]
            said.append(self.box_coder.decode(distances, anchors[row][cells]))
            wanted.append(target["exact"][matched[cells]])
        loss = generalized_box_iou_loss(torch.cat(said), torch.cat(wanted), reduction="sum")
        return losses | {"bbox_regression": loss / max(1, sum(map(len, said)))}


def grown(boxes: torch.Tensor, least: float) -> torch.Tensor:
    """Boxes (n, 4) about the same middles with sides of at least `least` pixels."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, ((boxes[:, 2:] - boxes[:, :2]) / 2).clamp(min=least / 2)
    return torch.cat([middle - half, middle + half], dim=1)


class GarmentDetector(FCOS):
    """torchvision's FCOS for square batches of one size; its losses and box decoding are used as they are.

    Args:
        backbone: becomes part of the detector.
        classes: number of garment groups.
        channels: of pyramid and towers, a multiple of 8.
        convs: separable convolutions a tower.
    """

    def __init__(self, backbone: Backbone, classes: int, channels: int = 80, convs: int = 3) -> None:
        anchors = AnchorGenerator(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES))
        head = Head(channels, classes, convs)
        super().__init__(Pyramid(backbone, channels), classes, anchor_generator=anchors, head=head)
        self.freeze()

    def freeze(self) -> None:
        """No gradients for the backbone's first stage; norms of the whole backbone keep their statistics."""
        self.backbone.stages[0].requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> GarmentDetector:
        """As usual, but the backbone's norms stay in eval mode: batches are too small for statistics of their own."""
        super().train(mode)
        for module in self.backbone.stages.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        """Raw outputs of every cell of every level.

        Args:
            pixels: (N, 3, S, S) normalized, S a multiple of 32.

        Returns:
            float32 `cls_logits` (N, cells, classes), `bbox_regression` (N, cells, 4), `bbox_ctrness` (N, cells, 1).
        """
        return {name: found.float() for name, found in self.head(self.backbone(pixels)).items()}

    def cells(self, size: int, device: torch.device | str = "cpu") -> tuple[torch.Tensor, list[int]]:
        """The square of each cell, float32 (cells, 4), and how many cells each level has, for pictures of `size`."""
        grids = [[size // stride] * 2 for stride in STRIDES]
        strides = [[torch.tensor(stride)] * 2 for stride in STRIDES]
        found = self.anchor_generator.grid_anchors(grids, strides)
        # torchvision centers cells on their corner; the backbone's maps look at the middle of each stride
        moved = [squares + stride / 2 for squares, stride in zip(found, STRIDES, strict=True)]
        return torch.cat(moved).to(device, torch.float32), [len(squares) for squares in found]

    def losses(self, pixels: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Losses `classification` (focal), `bbox_regression` (GIoU) and `bbox_ctrness`, each a scalar.

        Args:
            pixels: (N, 3, S, S) normalized.
            targets: N of {`boxes`: float32 (n, 4) in pixels of the square, `labels`: int64 (n,)}; n may be 0.
        """
        squares, counts = self.cells(pixels.shape[-1], pixels.device)
        to_assign = [
            target | {"boxes": grown(target["boxes"], LEAST_SIDE), "exact": target["boxes"]} for target in targets
        ]
        return self.compute_loss(to_assign, self(pixels), [squares] * len(targets), counts)

    @torch.inference_mode()
    def found(self, pixels: torch.Tensor, least_score: float, nms_iou: float) -> list[dict[str, torch.Tensor]]:
        """Boxes after non-maximum suppression a class, on the device of the pixels.

        Args:
            pixels: (N, 3, S, S) normalized.
            least_score: boxes below it are dropped.
            nms_iou: of two boxes of one class that overlap more than this the better one stays.

        Returns:
            N of {`boxes`: (n, 4) in pixels of the square, `scores`: (n,), `labels`: (n,)}, best first.
        """
        self.score_thresh, self.nms_thresh = least_score, nms_iou
        size = pixels.shape[-1]
        squares, counts = self.cells(size, pixels.device)
        levels = {name: list(made.split(counts, dim=1)) for name, made in self(pixels).items()}
        split = [list(squares.split(counts))] * len(pixels)
        return self.postprocess_detections(levels, split, [(size, size)] * len(pixels))


def own_tensors(network: GarmentDetector) -> dict[str, torch.Tensor]:
    """The state without the backbone's first stage: what a detector's weights file holds."""
    return {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith(FROZEN) and not name.endswith("num_batches_tracked")
    }
