"""Compile the training step whose order lies in a folder: python -m mytorch.train.compiled.compile_apart FOLDER

The package is written there, or a line that says why there is none. `CompilerProcess` starts it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Thread

import torch
import torch._higher_order_ops.triton_kernel_wrap  # a graph is unpickled by tracing what it does, which asks for this

from mytorch.train.compiled.cache import KEY
from mytorch.train.compiled.compile_order import ORDER, PACKAGE, REASON, Order
from mytorch.train.compiled.program import compile_package
from mytorch.train.compiled.reason import reason_of
from mytorch.train.compiled.trace import tracing

CLEAR = """
import os, shutil, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
    os.killpg(0, signal.SIGTERM)
for _ in range(10):
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if not os.path.exists(sys.argv[1]):
        break
    time.sleep(0.1)
"""
"""Ends the compilers of this process group and deletes the folder."""


def compile_apart(folder: Path) -> int:
    """Compile what is ordered. Returns the exit status."""
    try:
        with tracing():
            order = Order.unpacked((folder / ORDER).read_bytes())
        torch.set_num_threads(order.threads)
        torch.set_default_dtype(order.dtype)
        part = folder / f"part-{PACKAGE}"
        compile_package(order.graph, order.examples(), part, {KEY: order.key})
        part.replace(folder / PACKAGE)
    except Exception as error:
        (folder / REASON).write_text(reason_of(error), encoding="utf-8")
        return 1
    return 0


def end_with_parent(folder: Path) -> None:
    """Wait until the process that began this one ends, and clear everything up in its stead.

    A new program takes the place of this one, since other threads would go on to write into the folder.
    """
    while os.read(0, 1024):
        pass
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", CLEAR, str(folder)])


def main() -> None:
    folder = Path(sys.argv[1])
    Thread(target=end_with_parent, args=(folder,), daemon=True).start()
    sys.exit(compile_apart(folder))


if __name__ == "__main__":
    main()
