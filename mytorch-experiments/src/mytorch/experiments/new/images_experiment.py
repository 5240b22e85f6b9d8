"""Writing an experiment for a user's folder of images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mytorch.data.images.decode import size_of
from mytorch.data.images.image_list import list_images
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.load_experiment import find_experiment, read_text
from mytorch.experiments.new.experiment_text import comment, from_folder, named, toml_value
from mytorch.experiments.new.new_file import new_file, write_new_file

FEWEST = 20
"""With fewer images there is nothing to hold back for validation and test."""
SIZES = (32, 64, 96)
"""To one of these sizes images are scaled: larger ones show more, and take longer by their area."""
TRAINED = 0.7
"""The share of the images that are trained on."""
USES = 20_000
"""Images that are trained on, each as often as it is used, about so many."""


@dataclass(frozen=True)
class ImagesLook:
    """What was found: how many images there are of each class, and the middle one of their shorter sides."""

    path: Path
    counts: Mapping[str, int]
    side: int

    @property
    def rows(self) -> int:
        return sum(self.counts.values())

    @property
    def size(self) -> int:
        """The largest of SIZES that the images have."""
        return max((size for size in SIZES if size <= self.side), default=SIZES[0])

    @property
    def batch_size(self) -> int:
        """More images make larger batches worth it; of few, small ones learn more from each use."""
        return 16 if self.rows < 2000 else 32 if self.rows < 10_000 else 64

    @property
    def epochs(self) -> int:
        """So many that there are about USES uses, and each image is used at least 10 and at most 60 times."""
        return min(60, max(10, math.ceil(USES / (TRAINED * self.rows))))


def new_images_experiment(
    path: str | Path, output: str | Path | None = None, *, force: bool = False
) -> tuple[ImagesLook, Path]:
    """Write a commented experiment that learns the classes of a folder of images, by a small ResNet.

    output: the file; NAME.toml for the folder NAME if left out.
    Returns what was found and the file. Raises ExperimentError for too few images, and ImageError and FileError for
    those that cannot be read, before anything is written.
    """
    path = Path(path)
    output = new_file(output, path.resolve().name, force)
    look = look_at_images(path)
    write_new_file(output, write_images_experiment(look, output), force)
    return look, output


def look_at_images(path: Path) -> ImagesLook:
    """Look at a folder of images."""
    found = list_images(path, ("file", "label"), None, targets=True)
    if len(found.files) < FEWEST:
        raise ExperimentError(f"{path}: must have at least {FEWEST} images, got {len(found.files)}")
    sides = sorted(min(size_of(file)) for file in found.files)
    return ImagesLook(path, Counter(found.labels), sides[len(sides) // 2])


def write_images_experiment(look: ImagesLook, output: Path) -> str:
    """The text of the experiment: the data as they were found, and the model of the experiment `resnet`."""
    path = toml_value(from_folder(look.path, output))
    model = read_text(find_experiment("resnet"))
    name, counts = comment(look.path.resolve().name), [f"{name} {count}" for name, count in look.counts.items()]
    return f"""# {name}: {look.rows} images of {len(look.counts)} classes, by a small ResNet.
# {named(counts)}
description = "A folder of images, by a residual network"
requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
seed = 0
# How often each image is used, from 10 to 60 times. Raise it if the training loss still falls at the end.
epochs = {look.epochs}
batch_size = {look.batch_size}
evaluate_every = {max(1, look.epochs // 15)}
metrics = ["Accuracy", "BalancedAccuracy"]
# The weights of the evaluated epoch with the least validation loss are kept.
callbacks = [{{ type = "KeepBest", monitor = "validation_loss" }}]

[data]
# Each colour channel gets mean 0 and deviation 1, learned from the training part.
standardize = true
# The shorter side of the middle image has {look.side} pixels. A larger size shows more and takes longer by its area.
train = {{ type = "ImageFolder", path = {path}, size = {look.size} }}
# The validation part selects, the test part says how good the result is; each has its share of every class.
split = {{ validation = 0.15, test = 0.15 }}
# Images of the training part change at random. Set flip = false where left and right matter, as for letters.
augment = {{ flip = true, random_crop = {look.size // 10} }}

{model[model.index("[model]") :]}"""


def found_images(look: ImagesLook) -> list[str]:
    """What was found, in a few lines for the terminal."""
    return [
        f"{look.path}: {look.rows} images of {len(look.counts)} classes ({named(list(look.counts))})",
        f"Scaled to {look.size} by {look.size} pixels; the shorter side of the middle image has {look.side}",
    ]
