"""ImageFolder: which images are found, that their pixels are those of the files, and what is refused."""

import doctest
import pickle
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import ImageError, ImageFolder, split
from mytorch.data.images import augmented, image_folder
from mytorch.plugins import FileError

Image = pytest.importorskip("PIL.Image", reason="pillow comes with mytorch-data[images]")
ImageOps = pytest.importorskip("PIL.ImageOps")
DRAW = np.random.default_rng(7)


def save(path: Path, height: int = 6, width: int = 5, mode: str = "RGB", **options: Any) -> np.ndarray[Any, Any]:
    """Write an image of random pixels and return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = DRAW.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path, **options)
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat/b.png", "cat/a.PNG", "cat/more/c.png", "dog/1.png", "bird/x.png"):
        save(tmp_path / "images" / name)
    (tmp_path / "images" / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "images" / ".hidden").mkdir()
    return tmp_path / "images"


def test_the_docstring_holds() -> None:
    for module in (image_folder, augmented):
        found = doctest.testmod(module)
        assert (found.failed, found.attempted > 0) == (0, True)


def test_classes_are_the_folders_and_pixels_those_of_the_files(folder: Path) -> None:
    data = ImageFolder(folder)
    assert data.classes == ("bird", "cat", "dog")
    assert data.row_names == ("file", ["bird/x.png", "cat/a.PNG", "cat/b.png", "cat/more/c.png", "dog/1.png"])
    inputs, targets = data[:]
    assert targets.tolist() == data.targets.tolist() == [0, 1, 1, 1, 2]  # type: ignore[union-attr]
    for row, name in enumerate(data.row_names[1]):
        stored = torch.from_numpy(np.array(Image.open(folder / name))).permute(2, 0, 1)
        torch.testing.assert_close(inputs[row], stored / 255, rtol=0, atol=1e-7)
    assert inputs.dtype is torch.float32
    assert ImageFolder(folder, dtype="float64")[:][0].dtype is torch.float64


def test_a_table_names_files_and_classes(folder: Path) -> None:
    (folder / "labels.csv").write_text("kind,picture\nbig,dog/1.png\nsmall,cat/b.png\nbig,bird/x.png\n")
    data = ImageFolder(folder / "labels.csv", file_column="picture", label_column="kind")
    assert (data.classes, data.targets.tolist()) == (("big", "small"), [0, 1, 0])  # type: ignore[union-attr]
    everything = ImageFolder(folder)
    assert torch.equal(data[0][0], everything[4][0])
    assert torch.equal(data[1][0], everything[2][0])
    with pytest.raises(
        ImageError, match=r"labels.csv: must have the column 'file', got kind, picture; name yours by fi"
    ):
        ImageFolder(folder / "labels.csv")
    with pytest.raises(ImageError, match=r"got kind, picture; name yours by label_column. Nearest: kind"):
        ImageFolder(folder / "labels.csv", file_column="picture", label_column="kinds")
    (folder / "gap.csv").write_text("file,label\ndog/1.png,\n")
    with pytest.raises(ImageError, match=r"gap.csv: row 2, column 'label' must hold a text, got a missing cell"):
        ImageFolder(folder / "gap.csv")
    (folder / "gone.csv").write_text("file,label\ndog/1.png,a\ndog/2.png,b\n")
    with pytest.raises(FileError, match=r"dog/2.png: must be an image, got no such file"):
        ImageFolder(folder / "gone.csv")
    (folder / "one.csv").write_text("file,label\ndog/1.png,a\ncat/b.png,a\n")
    with pytest.raises(ImageError, match=r"must have images of at least two classes, got 'a' alone"):
        ImageFolder(folder / "one.csv")


@pytest.mark.parametrize(("height", "width"), [(40, 30), (7, 90), (16, 12)])
def test_a_size_is_covered_and_the_rest_cut_off_on_both_sides(tmp_path: Path, height: int, width: int) -> None:
    pixels = save(tmp_path / "a" / "1.png", height, width)
    save(tmp_path / "b" / "1.png", 9, 9)
    found = ImageFolder(tmp_path, size=[16, 12])[0][0]
    scale = max(16 / height, 12 / width)
    box = width * scale, height * scale  # the image once it covers 16 by 12
    left, top = ((box[0] - 12) / 2 / scale, (box[1] - 16) / 2 / scale)
    cut = (left, top, width - left, height - top)
    expected = Image.fromarray(pixels).resize((12, 16), Image.Resampling.BILINEAR, box=cut)
    wanted = torch.from_numpy(np.array(expected)).permute(2, 0, 1) / 255
    torch.testing.assert_close(found, wanted, rtol=0, atol=1.01 / 255)


def test_other_modes_are_converted_and_what_is_transparent_is_white(tmp_path: Path) -> None:
    grey = save(tmp_path / "a" / "grey.png", mode="L")
    clear = save(tmp_path / "b" / "clear.png", mode="RGBA")
    inputs, _ = ImageFolder(tmp_path)[:]
    assert torch.equal(inputs[0, 0], inputs[0, 2])
    torch.testing.assert_close(inputs[0, 1], torch.from_numpy(grey) / 255)
    share = clear[..., 3:] / 255
    expected = torch.from_numpy(clear[..., :3] / 255 * share + 1 - share).permute(2, 0, 1).float()
    torch.testing.assert_close(inputs[1], expected, rtol=0, atol=1.01 / 255)
    greys = ImageFolder(tmp_path, mode="grey")[:][0]
    assert greys.shape == (2, 1, 6, 5)
    torch.testing.assert_close(greys[0, 0], torch.from_numpy(grey) / 255)


def test_a_photo_that_a_camera_took_on_its_side_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "side.jpg", 40, 30, exif=exif.tobytes())
    save(tmp_path / "b" / "upright.jpg", 30, 40)
    data = ImageFolder(tmp_path)
    stored = ImageOps.exif_transpose(Image.open(tmp_path / "a" / "side.jpg"))
    torch.testing.assert_close(data[0][0], torch.from_numpy(np.array(stored)).permute(2, 0, 1) / 255)


def test_normalize_is_by_channel_and_new_rows_get_it_too(folder: Path) -> None:
    normalize = {"mean": [0.1, 0.5, 0.9], "std": [0.5, 2.0, 1.0]}
    data, plain = ImageFolder(folder, normalize=normalize), ImageFolder(folder)
    mean, std = (torch.tensor(normalize[key]).reshape(-1, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(data[:][0], (plain[:][0] - mean) / std)
    again = ImageFolder.new_rows(folder, data.preparation or {}, torch.float32, targets=False)
    assert torch.equal(again[:][0], data[:][0])
    assert again[:][1] is None
    with pytest.raises(ArgumentError, match="normalize must have 1 numbers each for mode 'grey', got 3"):
        ImageFolder(folder, mode="grey", normalize=normalize)
    with pytest.raises(ArgumentError, match="ImageFolder: mean must be finite and std above 0"):
        ImageFolder(folder, normalize={"mean": [0, 0, 0], "std": [1, 0, 1]})


@pytest.mark.parametrize("kept", [0, 3, 5])
def test_what_is_kept_in_memory_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    everything, decoded = ImageFolder(folder)[:][0], []
    decode = image_folder.decode
    monkeypatch.setattr(image_folder, "decode", lambda *given: decoded.append(given[0].name) or decode(*given))
    data = ImageFolder(folder, cache_bytes=kept * 6 * 5 * 3)
    rows = [4, 1, 1, 3, 0]
    for _ in range(2):
        assert torch.equal(data[rows][0], everything[rows])
    again = {4: "1.png", 1: "a.PNG", 3: "c.png", 0: "x.png"}
    for row, name in again.items():
        assert decoded.count(name) == (1 if row < kept else 2 * rows.count(row))
    assert torch.equal(pickle.loads(pickle.dumps(data))[rows][0], everything[rows])


def test_new_rows_are_read_as_the_training_was(folder: Path, tmp_path: Path) -> None:
    like = ImageFolder(folder, size=4, mode="grey").preparation or {}
    new = tmp_path / "new"
    save(new / "dog" / "1.jpg", 20, 10)
    (new / "cat").mkdir()
    data = ImageFolder.new_rows(new, like, torch.float32, targets=True)
    assert (data.classes, data.targets.tolist()) == (("bird", "cat", "dog"), [2])  # type: ignore[union-attr]
    assert data[:][0].shape == (1, 1, 4, 4)
    save(new / "dgo" / "2.jpg")
    with pytest.raises(
        ImageError, match=r"classes must be those of the training, bird, cat, dog, got 'dgo'. Nearest: dog"
    ):
        ImageFolder.new_rows(new, like, torch.float32, targets=True)
    assert len(ImageFolder.new_rows(new, like, torch.float32, targets=False)) == 2
    single = ImageFolder.new_rows(new / "dog" / "1.jpg", like, torch.float32, targets=False)
    assert single.row_names == ("file", ["1.jpg"])
    with pytest.raises(ImageError, match=r"1.jpg: must be a folder with a folder for each class, got an image"):
        ImageFolder.new_rows(new / "dog" / "1.jpg", like, torch.float32, targets=True)
    fixed = ImageFolder(folder).preparation or {}
    with pytest.raises(
        ImageError,
        match=r"1.jpg: must be 6 pixels high and 5 wide, as those of the training are, got 20 .* and 10 wide",
    ):
        ImageFolder.new_rows(new / "dog" / "1.jpg", fixed, torch.float32, targets=False)
    with pytest.raises(ArgumentError, match=r"like must be the preparation of a former one, got {'table': 1}"):
        ImageFolder(folder, like={"table": 1})


def test_a_split_has_its_share_of_each_class_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        save(tmp_path / "a" / f"{number}.png")
        save(tmp_path / "b" / f"{number}.png")
    monkeypatch.setattr(image_folder, "decode", None)
    training, test = split(ImageFolder(tmp_path), (0.75, 0.25))
    assert training.targets.sum() == 15  # type: ignore[union-attr]
    assert test.row_names is not None
    assert len(test.row_names[1]) == len(test) == 10


def broken(folder: Path, name: str, content: bytes) -> None:
    (folder / "cat" / name).write_bytes(content)


def png_of(width: int, height: int) -> bytes:
    """The beginning of a PNG file that claims to have so many pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">II", zlib.crc32(head), 9) + b"IDAT"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "z.png: must be a PNG or JPEG image, got an empty file"),
        (b"<html>not found</html>", "z.png: must be a PNG or JPEG image, got something else, or a broken one"),
        (png_of(100_000, 100_000), "z.png: must have at most 67108864 pixels, got more: Image size"),
        (png_of(10_000, 9_000), f"z.png: must have at most {2**26} pixels, got 10000 x 9000; make it smaller"),
    ],
)
def test_what_is_no_image_is_named_at_once(folder: Path, content: bytes, message: str) -> None:
    broken(folder, "z.png", content)
    with pytest.raises(ImageError, match=message):
        ImageFolder(folder)
    broken(folder, "y.png", content)
    with pytest.raises(ImageError, match=r"y\.png[^\n]*\n[^\n]*z\.png"):
        ImageFolder(folder)


def test_many_broken_images_are_named_in_a_few_lines(folder: Path) -> None:
    for number in range(9):
        broken(folder, f"z{number}.png", b"no")
    with pytest.raises(ImageError) as caught:
        ImageFolder(folder)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (6, "4 more images cannot be used")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_image_is_named_when_it_is_read(folder: Path, suffix: str) -> None:
    save(folder / "cat" / f"z.{suffix}", 60, 50)
    whole = (folder / "cat" / f"z.{suffix}").read_bytes()
    for length in DRAW.integers(len(whole) // 2, len(whole) - 20, 8):
        broken(folder, f"z.{suffix}", whole[:length])
        with pytest.raises(ImageError, match=rf"z.{suffix}: must be a whole image, got one that is broken: "):
            ImageFolder(folder, size=8)[:]


def test_changed_bytes_give_an_image_or_an_image_error(folder: Path) -> None:
    save(folder / "cat" / "z.png", 20, 20)
    whole = (folder / "cat" / "z.png").read_bytes()
    for place in DRAW.integers(0, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= int(DRAW.integers(1, 256))
        broken(folder, "z.png", bytes(changed))
        with suppress(ImageError):  # and nothing else
            assert ImageFolder(folder, size=8)[:][0].isfinite().all()


def test_deep_images_and_files_that_cannot_be_read_are_named(folder: Path) -> None:
    deep = DRAW.integers(0, 2**16, (6, 5)).astype(np.uint16)
    Image.fromarray(deep).save(folder / "cat" / "deep.png")
    with pytest.raises(ImageError, match=r"deep.png: must have 8 bits a channel, got pillow's mode 'I;16'"):
        ImageFolder(folder)
    (folder / "cat" / "deep.png").unlink()
    (folder / "cat" / "gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(FileError, match=r"gone.png: must be an image, got no such file"):
        ImageFolder(folder)
    (folder / "cat" / "gone.png").unlink()
    (folder / "cat" / "folder.png").mkdir()
    with pytest.raises(FileError, match=r"folder.png: must be an image, got a folder"):
        ImageFolder(folder)


def test_another_size_is_named_with_the_way_out(folder: Path) -> None:
    save(folder / "cat" / "z.png", 7, 5)
    expected = r"z.png: must be 6 pixels high and 5 wide, as x.png is, got 7 pixels high and 5 wide; train with size"
    with pytest.raises(ImageError, match=expected):
        ImageFolder(folder)
    assert ImageFolder(folder, size=6)[:][0].shape == (6, 3, 6, 6)


def test_an_image_that_changes_its_size_later_is_named(folder: Path) -> None:
    data = ImageFolder(folder)
    save(folder / "dog" / "1.png", 9, 5)
    with pytest.raises(ImageError, match=r"1.png: must be 6 pixels high and 5 wide, as the others are, got 9 pixels"):
        data[:]


def test_folders_without_what_is_needed_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match="every class folder must have a PNG or JPEG image, got none in empty; put"):
        ImageFolder(folder)
    (folder / "empty").rmdir()
    save(folder / "loose.png")
    with pytest.raises(ImageError, match=r"every image must be in the folder of its class, got loose.png beside them"):
        ImageFolder(folder)
    for name in ("a.PNG", "b.png"):
        (folder / "cat" / name).unlink()
    with pytest.raises(
        ImageError, match=r"cat: must have a folder for each of at least two classes, got one .* 'more'"
    ):
        ImageFolder(folder / "cat")
    with pytest.raises(
        ImageError, match=r"dog: must have a folder for each class, such as .*, got 1 images without a c"
    ):
        ImageFolder(folder / "dog")
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    with pytest.raises(
        ImageError, match=r"nothing: must have a folder for each class, such as .*, got no folder in it"
    ):
        ImageFolder(nothing)
    with pytest.raises(ImageError, match=r"nothing: must have a PNG or JPEG image, .*, got an empty folder"):
        ImageFolder(nothing, targets=False)
    (nothing / "a.gif").write_bytes(b"GIF")
    with pytest.raises(ImageError, match="got 1 files of other kinds"):
        ImageFolder(nothing, targets=False)
    with pytest.raises(
        ImageError, match=r"a.gif: must be a folder of images or a table such as labels.csv, got a file"
    ):
        ImageFolder(nothing / "a.gif")
    with pytest.raises(FileError, match="absent: must be a folder of images or a table of their paths, got no such"):
        ImageFolder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be a whole number of pixels from 1 to 4096, or height and width, got 0"),
        ({"size": [3]}, r"or height and width, got \[3\]"),
        ({"size": [3, 2.5]}, r"or height and width, got \[3, 2.5\]"),
        ({"size": True}, "or height and width, got True"),
        ({"size": "big"}, "or height and width, got 'big'"),
        ({"mode": "RGBA"}, "mode must be one of RGB, grey, got 'RGBA'"),
        ({"cache_bytes": -1}, "cache_bytes must be a whole number of at least 0, got -1"),
        ({"dtype": "int8"}, "dtype"),
    ],
)
def test_options_that_are_none(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ImageFolder(folder, **options)


def test_without_pillow_the_error_has_the_command(folder: Path) -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from mytorch.data import ImageFolder, ReaderError\n"
        "try: ImageFolder(sys.argv[1])\n"
        "except ReaderError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True).stdout
    assert told == (
        "ImageFolder: pillow, which reads images, is not installed. "
        "Install: python -m pip install './mytorch-data[images]'\n"
    )
