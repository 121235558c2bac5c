"""Label maps of pictures: a segmentation model's classes, merged into one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mcm_core.drawing.conditions import InputError, LabelClass

GIVEN = Path(__file__).parent / "classes"
"""Lists that come with the package: landscape, interior, street."""
UNREAD = ("detr", "eomt", "videomt")
"""Universal models whose masks are not of the whole picture as it was given."""
AREA = 0.5
"""A class gives way to void where the model is less sure than this of its pixels."""


@dataclass(frozen=True)
class Merging:
    """One's own classes, and for each the names that it has in segmentation models (ADE20K, COCO-Stuff)."""

    classes: tuple[LabelClass, ...]
    names: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, classes: Sequence[LabelClass]) -> Merging:
        """Classes that take in what has their own names, and nothing else."""
        return cls(tuple(classes), tuple(frozenset({_plain(label.name)}) for label in classes))

    def entries(self) -> list[dict[str, Any]]:
        """As `read_merging` reads them."""
        return [
            {"name": label.name, "color": label.color, "from": sorted(names)}
            for label, names in zip(self.classes, self.names, strict=True)
        ]

    def table(self, known: Sequence[str]) -> np.ndarray:
        """Own id by the model's id, 0 where none of one's own classes takes it in.

        Raises:
            InputError: none of the model's classes has a name that is known here.
        """
        ids = np.zeros(len(known), np.uint8)
        for place, name in enumerate(known):
            spoken = {_plain(part) for part in name.replace(";", ",").split(",")} | {_plain(name)}
            found = [index for index, names in enumerate(self.names, start=1) if names & spoken]
            ids[place] = found[0] if found else 0
        if not ids.any():
            raise InputError(
                f"None of the segmenter's classes ({', '.join(known[:8])}, ...) is in the list of classes: "
                'say which it takes in, {"name": "tree", "color": "#2e7d32", "from": ["tree", "palm"]}.'
            )
        return ids


def read_merging(source: str) -> Merging:
    """From a JSON file, or one of the lists that come with the package.

    Raises:
        InputError: no such list, or not of the form [{"name", "color", "from"}, ...].
    """
    given = GIVEN / f"{source}.json"
    path = given if given.is_file() else Path(source)
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in GIVEN.glob("*.json")))
        raise InputError(f"There is no list of classes {source!r}: give a JSON file, or {names}.")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        classes = tuple(LabelClass(str(entry["name"]), str(entry["color"])) for entry in entries)
        merged = tuple(
            frozenset(_plain(name) for name in [entry["name"], *entry.get("from", ())]) for entry in entries
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f'{path} must read [{{"name": "sky", "color": "#8ec1ef", "from": ["sky", "clouds"]}}, ...].'
        ) from error
    return Merging(classes, merged)


def require_both(classes: str | None, segmenter: str | None) -> None:
    """Raises: InputError: classes without a segmenter to find them, or the reverse."""
    if bool(classes) != bool(segmenter):
        raise InputError("Label maps need --classes and --segmenter; for sketches alone leave out both.")


@dataclass(frozen=True, eq=False)
class Labelled:
    """`labels` (B, H, W) uint8 in one's own classes, 0 where unsure; `sureness` (B,): the mean probability of
    the class chosen for each pixel."""

    labels: np.ndarray
    sureness: np.ndarray


Labeller = Callable[[np.ndarray], Labelled]
"""(B, H, W, 3) uint8 pictures -> their labels."""


def open_labeller(source: str, merging: Merging, device: torch.device) -> Labeller:
    """A segmentation model of transformers (semantic or universal) by folder or hub id, or a judge of this
    package (`mcm train-segmenter`).

    Raises:
        InputError: it cannot be opened, or has none of the classes.
    """
    if _is_judge(source):
        from mcm_core.evaluation.segmenter import load, to_signed

        network = load(source, device).network
        known = [label["name"] for label in network.config.classes]
        return _labeller(
            lambda pictures: network(to_signed(pictures.to(device))).classes.softmax(1), known, merging
        )
    return _labeller(*_transformers(source, device), merging)


def _labeller(probabilities: Callable[[Tensor], Tensor], known: Sequence[str], merging: Merging) -> Labeller:
    """`probabilities`: (B, H, W, 3) uint8 -> (B, n, h, w), which sum to 1 over the n known classes."""
    table = torch.from_numpy(merging.table(known).astype(np.int64))

    @torch.inference_mode()
    def labelled(pictures: np.ndarray) -> Labelled:
        found = probabilities(torch.from_numpy(pictures.copy())).float().cpu()
        own = torch.zeros(len(found), len(merging.classes) + 1, *found.shape[2:])
        own.index_add_(1, table, found)  # before they are enlarged: the model's classes may be hundreds
        own = functional.interpolate(own, pictures.shape[1:3], mode="bilinear", align_corners=False)
        sure, ids = own.max(dim=1)
        labels = torch.where(sure >= AREA, ids, 0).to(torch.uint8)
        return Labelled(labels.numpy(), sure.mean(dim=(1, 2)).numpy())

    return labelled


def _is_judge(source: str) -> bool:
    try:
        config = json.loads((Path(source) / "config.json").read_text(encoding="utf-8"))
        return config.get("_class_name") == "Network"
    except (OSError, ValueError, AttributeError):
        return False


def _transformers(source: str, device: torch.device) -> tuple[Callable[[Tensor], Tensor], list[str]]:
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(source)
        if config.model_type.startswith(UNREAD):
            raise InputError(
                f"a {config.model_type} is not read here: take SegFormer, Mask2Former, OneFormer"
            )
        process = _processor(transformers, source, config)
        model = _network(transformers, source, config).to(device).eval()
    except Exception as error:  # hub, weights, classes: each raises its own kind
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{source} cannot be opened as a segmentation model: {reason}") from error
    known = [str(name) for _, name in sorted(_by_number(config.id2label).items())]

    def probabilities(pictures: Tensor) -> Tensor:
        images = [Image.fromarray(picture) for picture in pictures.numpy()]
        output = model(**process(images).to(device, model.dtype))
        return of_queries(output) if hasattr(output, "masks_queries_logits") else output.logits.softmax(1)

    return probabilities, known


def _processor(transformers: Any, source: str, config: Any) -> Callable[[list[Image.Image]], Any]:
    """Pictures -> what the network takes. OneFormer is told in words what it is to do."""
    if config.model_type == "oneformer":
        teller = transformers.AutoProcessor.from_pretrained(source)
        task = "semantic"
        return lambda images: teller(images=images, task_inputs=[task] * len(images), return_tensors="pt")
    processor = transformers.AutoImageProcessor.from_pretrained(source)
    return lambda images: processor(images=images, return_tensors="pt")


def _network(transformers: Any, source: str, config: Any) -> Any:
    """A semantic model, or a universal one where the configuration is of that kind."""
    universal = transformers.AutoModelForUniversalSegmentation
    kind = (
        universal
        if type(config) in universal._model_mapping
        else transformers.AutoModelForSemanticSegmentation
    )
    return kind.from_pretrained(source)


def of_queries(output: Any) -> Tensor:
    """(B, n, h, w) of a model that proposes masks and classes (MaskFormer and its followers): each pixel's
    classes weighed by the masks it lies in."""
    classes = output.class_queries_logits.softmax(-1)[..., :-1]
    masks = output.masks_queries_logits.sigmoid()
    scores = torch.einsum("bqc,bqhw->bchw", classes, masks)
    return scores / scores.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _by_number(names: Mapping[Any, Any]) -> dict[int, Any]:
    return {int(number): name for number, name in names.items()}


def _plain(name: str) -> str:
    """A class's name without what data sets add to it: "tree-merged" and "Tree" are a tree."""
    words = re.sub(r"[-_]", " ", name.lower()).split()
    while len(words) > 1 and words[-1] in ("merged", "stuff"):
        words.pop()
    return " ".join(words)
