"""An experiment that is written for a folder of images."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.experiment import experiment
from mytorch.core import MytorchError
from mytorch.experiments import load_experiment
from mytorch.experiments.new.images_experiment import ImagesLook, new_images_experiment
from mytorch.experiments.training.check_experiment import check_experiment


def folder_of(path, **counts):
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        (path / name).mkdir(parents=True)
        for number in range(count):
            pixels = draw.integers(0, 256, (70, 90 + number, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{number}.png")
    return path


def test_what_is_written_suits_the_images_and_runs_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "photos", cat=17, dog=9)
    result = CliRunner().invoke(experiment, ["new", "photos"])
    assert result.output.splitlines() == [
        "photos: 26 images of 2 classes (cat, dog)",
        "Scaled to 64 by 64 pixels; the shorter side of the middle image has 70",
        "Wrote photos.toml",
        "Next: mytorch train photos.toml",
    ]
    text = (tmp_path / "photos.toml").read_text()
    assert text.startswith("# photos: 26 images of 2 classes, by a small ResNet.\n# cat 17, dog 9\n")
    written = load_experiment("photos.toml")
    assert (written.epochs, written.batch_size, written.data.augment.random_crop) == (60, 16, 6)
    assert written.model == load_experiment("resnet").model
    check_experiment("photos.toml")
    with pytest.raises(MytorchError, match=r"photos\.toml: must be a new file, got one that exists"):
        new_images_experiment("photos")
    result = CliRunner().invoke(experiment, ["new", "photos", "--target", "x"])
    assert "--target is an option of other sources; photos is read as a folder of images, without it" in result.output


def test_folders_that_are_too_small_or_broken_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "few", a=10, b=9)
    with pytest.raises(MytorchError, match="few: must have at least 20 images, got 19"):
        new_images_experiment("few")
    (tmp_path / "few" / "a" / "more.png").write_bytes(b"no image")
    with pytest.raises(MytorchError, match=r"more\.png: must be a PNG or JPEG image"):
        new_images_experiment("few")
    assert not list(tmp_path.glob("*.toml"))


@pytest.mark.parametrize(
    ("rows", "epochs", "batch_size"), [(26, 60, 16), (960, 30, 16), (2500, 12, 32), (20_000, 10, 64)]
)
def test_few_images_are_used_often_and_in_small_batches(rows, epochs, batch_size):
    look = ImagesLook(Path("photos"), {"cat": rows - 5, "dog": 5}, 58)
    assert (look.epochs, look.batch_size) == (epochs, batch_size)
