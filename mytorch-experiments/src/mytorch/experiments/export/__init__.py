"""Runs for use elsewhere: as ONNX files, for PyTorch alone, as programs, and their training step as a package."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.experiments.export.errors import ExportError
    from mytorch.experiments.export.onnx_file import export_onnx
    from mytorch.experiments.export.program_file import export_program
    from mytorch.experiments.export.step import export_step
    from mytorch.experiments.export.torch_file import export_torch

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.experiments.export.errors": ("ExportError",),
        "mytorch.experiments.export.onnx_file": ("export_onnx",),
        "mytorch.experiments.export.program_file": ("export_program",),
        "mytorch.experiments.export.step": ("export_step",),
        "mytorch.experiments.export.torch_file": ("export_torch",),
    },
)

__all__ = ["ExportError", "export_onnx", "export_program", "export_step", "export_torch"]
