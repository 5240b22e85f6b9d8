"""Digits: that they are scikit-learn's, and that images in a folder are read like them."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mytorch.data import Digits, ImageFolder
from mytorch.data.images import digits

load_digits = pytest.importorskip("sklearn.datasets", reason="it comes with mytorch-data[digits]").load_digits


def test_they_are_those_of_scikit_learn() -> None:
    found, (x, y) = Digits("float64"), load_digits(return_X_y=True)
    inputs, targets = found[[7, 1796]]
    torch.testing.assert_close(inputs.flatten(1), torch.from_numpy(x[[7, 1796]] / 16))
    assert targets.tolist() == y[[7, 1796]].tolist()
    assert found.targets.bincount().tolist() == np.bincount(y).tolist()
    assert doctest.testmod(digits).failed == 0


def test_images_in_a_folder_are_read_like_them(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow comes with mytorch-data[images]")
    data = Digits()
    for row in (3, 8):
        image.fromarray((data[row][0][0] * 255).byte().numpy()).save(tmp_path / f"{row}.png")
    new = ImageFolder.new_rows(tmp_path, data.preparation, torch.float32, targets=False)
    torch.testing.assert_close(new[:][0], data[[3, 8]][0], rtol=0, atol=1 / 255)
    assert new.classes == data.classes


def test_without_scikit_learn_the_error_has_the_command() -> None:
    code = (
        "import sys; sys.modules['sklearn.datasets'] = None\n"
        "from mytorch.data import Digits, ReaderError\n"
        "try: Digits()\n"
        "except ReaderError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == (
        "Digits: scikit-learn, which brings the digits, is not installed. "
        "Install: python -m pip install './mytorch-data[digits]'\n"
    )
