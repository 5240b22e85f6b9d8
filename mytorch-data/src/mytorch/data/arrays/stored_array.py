"""One array in a file: its header is judged first, and its rows are read from the file when they are asked for."""

from __future__ import annotations

import mmap
import os
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.data.npy_header import NpyHeader, read_header
from mytorch.data.table.errors import TableError, cut, listed, shown, told
from mytorch.data.table.open_table import refuse_address
from mytorch.data.table.source import signature
from mytorch.plugins import FileError, nearest, require_memory

_DAMAGED = (zipfile.BadZipFile, zlib.error)

Array = np.ndarray[Any, np.dtype[Any]]

SMALL = 2**25
"""Bytes of an array that is kept in memory once it is used: to read rows one by one takes longer."""
RESIDENT = 2**27
"""Bytes that reads of a mapped file may leave in memory before they are given back; the system may keep them in its
cache."""
AROUND = 2**17
"""Bytes that the system may read around a row."""
LOCAL_HEADER = 30
"""Bytes of the fixed part of what a ZIP file has in front of each member; two lengths follow from 26 on."""


class StoredArray:
    """An array of a .npy file, or of an NPZ file, indexed by rows.

    Of what is stored uncompressed and larger than `SMALL`, only the rows that are asked for are read: from their place
    in the file into the tensor, those that follow each other at once. Where the system cannot do that, and for one in
    Fortran's order, whose rows are scattered, the file is mapped into memory, and what rows took there is given back
    after `RESIDENT` bytes. What is compressed is read as a whole. Nothing is unpickled.
    Raises TableError for a damaged file, objects, text and anything that is no number, and when the file changes;
        FileError for no file; ArgumentError for a compressed array that does not fit into memory.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        refuse_address(path)
        self._whole: Array | None = None
        if path.is_dir():
            self._file = path / f"{name}.npy"
            self._open_npy()
        else:
            self._file = path
            self._open_npz()
        self._before = signature(self._file)
        self._small: Array | None = None
        self._opened: int | None = None
        self._mapped: tuple[mmap.mmap, Array] | None = None
        self._touched = 0

    @staticmethod
    def is_there(path: Path, name: str) -> bool:
        """Whether a file or folder holds an array of this name; False, too, for what cannot be read."""
        if path.is_dir():
            return (path / f"{name}.npy").is_file()
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as packed:
            return f"{name}.npy" in packed.namelist()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of its numbers, in this machine's order of bytes, which torch has too."""
        dtype = self._header.dtype.newbyteorder("=")
        return np.dtype(f"{dtype.kind}{min(dtype.itemsize, 8)}")

    def rows(self, indices: Tensor) -> Tensor:
        """The rows at `indices`, int64 of one axis from 0, as a new tensor of its dtype."""
        if self._whole is not None:
            return torch.from_numpy(self._whole[indices.numpy()].astype(self.dtype, copy=False))
        if signature(self._file) != self._before:
            raise self._changed()
        with self._errors():
            if self._header.size <= SMALL:
                found = self._all_rows()[indices.numpy()]
            elif self._header.fortran_order or not hasattr(os, "preadv"):
                found = self._mapped_rows(indices)
            else:
                found = self._read_rows(indices.numpy())
        return torch.from_numpy(found.astype(self.dtype, copy=False))

    def _all_rows(self) -> Array:
        """An array that is small, which is read as a whole at its first use."""
        if self._small is None:
            order: Any = "F" if self._header.fortran_order else "C"
            count = self._header.size // self._header.dtype.itemsize
            found = np.fromfile(self._file, self._header.dtype, count, offset=self._offset)
            if len(found) < count:
                raise self._changed()
            self._small = found.reshape(self.shape, order=order)
        return self._small

    def _read_rows(self, indices: Array) -> Array:
        """Rows that are read from their places in the file, as they are stored."""
        row = self._header.size // self.shape[0]
        found = np.empty(len(indices) * row, np.uint8)
        begins = np.flatnonzero(np.diff(indices, prepend=-2) != 1)  # of rows that follow each other in the file
        ends = np.append(begins, len(indices))[1:]
        view, file = found.data, self._open()
        places = (self._offset + indices[begins] * row).tolist()
        for begin, end, place in zip((begins * row).tolist(), (ends * row).tolist(), places, strict=True):
            self._fill(file, view[begin:end], place)
        return found.view(self._header.dtype).reshape(len(indices), *self.shape[1:])

    def _fill(self, file: int, view: memoryview, place: int) -> None:
        """Read until there is as much as wanted: one call reads at most 2 GB."""
        while view:
            count = os.preadv(file, [view], place)
            if not count:
                raise self._changed()
            view, place = view[count:], place + count

    def _open(self) -> int:
        if self._opened is None:
            self._opened = os.open(self._file, os.O_RDONLY)
            weakref.finalize(self, os.close, self._opened)
        return self._opened

    def _changed(self) -> TableError:
        return TableError(f"{self._file}: must stay as it is while it is read, got a change; read it again")

    def _mapped_rows(self, indices: Tensor) -> Array:
        mapping, array = self._map()
        found = np.empty((len(indices), *self.shape[1:]), self.dtype)
        row = array[0].nbytes + AROUND
        for at in range(0, len(indices), some := 1 + RESIDENT // row):
            chosen = indices[at : at + some]
            found[at : at + some] = array[chosen.numpy()]
            self._touched += row * len(chosen)
            if self._touched > RESIDENT and hasattr(mapping, "madvise"):
                mapping.madvise(mmap.MADV_DONTNEED)
                self._touched = 0
        return found

    def _map(self) -> tuple[mmap.mmap, Array]:
        if self._mapped is None:
            with self._file.open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            header = self._header
            order: Any = "F" if header.fortran_order else "C"
            self._mapped = mapping, np.ndarray(header.shape, header.dtype, mapping, self._offset, order=order)
        return self._mapped

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open or was read, which another process opens and reads anew."""
        return {**vars(self), "_small": None, "_opened": None, "_mapped": None}

    def _open_npy(self) -> None:
        if not self._file.is_file():
            there = [file.stem for file in self.path.glob("*.npy")]
            raise FileError(f"{self._file}: must be a file, got no such file. {nearest(self.name, there)}".strip())
        with self._errors(), self._file.open("rb") as file:
            self._header = self._judged(read_header(file))
            self._offset = file.tell()
        self._require_whole(self._file.stat().st_size - self._offset)

    def _open_npz(self) -> None:
        if not self._file.is_file():
            raise FileError(f"{self._file}: must be an NPZ file or a folder of .npy files, got no such file")
        with self._errors(), zipfile.ZipFile(self._file) as packed:
            names = [member.filename for member in packed.infolist()]
            if f"{self.name}.npy" not in names:
                held = [name.removesuffix(".npy") for name in names]
                raise TableError(
                    f"{self._file}: must hold an array named {shown(self.name)}, got {listed(held)}. "
                    f"{nearest(self.name, held)}".strip()
                )
            member = packed.getinfo(f"{self.name}.npy")
            with packed.open(member) as file:
                self._header = self._judged(read_header(file))  # type: ignore[arg-type]
                begin = file.tell()
            self._require_whole(member.file_size - begin)
            if member.compress_type == zipfile.ZIP_STORED:
                self._offset = begin + self._start(member)
                self._require_whole(self._file.stat().st_size - self._offset)
            else:
                self._read(packed, member)

    def _start(self, member: zipfile.ZipInfo) -> int:
        """Where the bytes of an uncompressed member begin in the file."""
        with self._file.open("rb") as file:
            file.seek(member.header_offset)
            local = file.read(LOCAL_HEADER)
        lengths = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        return member.header_offset + LOCAL_HEADER + lengths

    def _read(self, packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        remedy = "store it uncompressed, with numpy.savez, and only the rows that are used are read"
        require_memory(str(self._file), f"the compressed array {shown(self.name)}", self._header.size, remedy)
        with packed.open(member) as file:
            self._whole = np.lib.format.read_array(file, allow_pickle=False)

    def _judged(self, header: NpyHeader | None) -> NpyHeader:
        """The header of an array of numbers with rows."""
        if header is None or header.dtype.kind not in "biuf":
            kind = "a type that is not plain" if header is None else str(header.dtype)
            objects = header is not None and header.dtype.hasobject
            way = "Python objects are never unpickled" if objects else "mytorch.data.Table encodes text"
            raise TableError(f"{self._told()} must hold numbers, got {cut(kind)}; {way}")
        if not header.shape:
            raise TableError(f"{self._told()} must have the rows as its first axis, got a single number")
        if min(header.shape) < 0 or not header.shape[0] or not header.size:
            raise TableError(f"{self._told()} must have at least one row of numbers, got shape {header.shape}")
        return header

    def _require_whole(self, there: int) -> None:
        if there < self._header.size:
            raise TableError(
                f"{self._told()} must be whole, got {there} bytes where its shape {cut(str(self.shape))} needs "
                f"{self._header.size}"
            )

    def _told(self) -> str:
        return f"{self.path}: array {shown(self.name)}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (TableError, FileError):
            raise
        except PermissionError as error:
            raise FileError(f"{self._file}: must be readable, got {error.strerror or error}") from error
        except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, *_DAMAGED) as error:
            raise TableError(f"{self._told()} must be stored whole by NumPy, got {told(error)}") from None
