"""The contracts of mytorch: what a module, a loss, an optimizer, a schedule, a data set and a metric are."""

from mytorch.core.batch import fetch, fetch_exact
from mytorch.core.checks import (
    FLOATING,
    allow_autograd,
    kind_of,
    require_choice,
    require_device,
    require_dimensions,
    require_dtype,
    require_flag,
    require_flags,
    require_floating,
    require_floating_dtype,
    require_input,
    require_kind,
    require_last_axis,
    require_like,
    require_no_grad,
    require_pair,
    require_path,
    require_range,
    require_real,
    require_same_device,
    require_same_shape,
    require_saved,
    require_seed,
    require_upstream,
    require_whole,
)
from mytorch.core.dataset import DataSet
from mytorch.core.description import call_with, describe, outline, rebuild, tie
from mytorch.core.detail import STEP, Detail
from mytorch.core.errors import (
    ArgumentError,
    AutogradError,
    ContractError,
    DescriptionError,
    DtypeError,
    ModuleTreeError,
    MytorchError,
    RowIndexError,
    ShapeError,
    StateError,
    UninitializedError,
)
from mytorch.core.kronecker import KroneckerFactors, factor_shapes, kronecker
from mytorch.core.lazy_module import LazyModule
from mytorch.core.locate import add_path
from mytorch.core.loss import OUTPUTS, Loss, require_d_value
from mytorch.core.metric import Metric, metric_name
from mytorch.core.module import Module
from mytorch.core.optimizer import Optimizer
from mytorch.core.optimizer_state import persistent
from mytorch.core.origin import keep_origin, readable
from mytorch.core.parameter import Buffer, Parameter
from mytorch.core.placing import placing
from mytorch.core.quantity import GradientSeen, LayerSeen, Quantity
from mytorch.core.random_state import RandomState, random_state, seed_torch
from mytorch.core.room import empty, require_room
from mytorch.core.rows import rows_at
from mytorch.core.rule import Rule
from mytorch.core.sample_gradients import (
    EachSample,
    OuterProducts,
    SampleGradients,
    Stacked,
    TableRows,
    added,
    rows_of_samples,
)
from mytorch.core.schedule import RecursiveSchedule, Schedule
from mytorch.core.tangents import Directions, states_tangents
from mytorch.core.torch_version import TorchVersionWarning
from mytorch.core.uninitialized import UninitializedBuffer, UninitializedParameter, require_initialized
from mytorch.core.view import View, Wrapped

__all__ = [
    "FLOATING",
    "OUTPUTS",
    "STEP",
    "ArgumentError",
    "AutogradError",
    "Buffer",
    "ContractError",
    "DataSet",
    "DescriptionError",
    "Detail",
    "Directions",
    "DtypeError",
    "EachSample",
    "GradientSeen",
    "KroneckerFactors",
    "LayerSeen",
    "LazyModule",
    "Loss",
    "Metric",
    "Module",
    "ModuleTreeError",
    "MytorchError",
    "Optimizer",
    "OuterProducts",
    "Parameter",
    "Quantity",
    "RandomState",
    "RecursiveSchedule",
    "RowIndexError",
    "Rule",
    "SampleGradients",
    "Schedule",
    "ShapeError",
    "Stacked",
    "StateError",
    "TableRows",
    "TorchVersionWarning",
    "UninitializedBuffer",
    "UninitializedError",
    "UninitializedParameter",
    "View",
    "Wrapped",
    "add_path",
    "added",
    "allow_autograd",
    "call_with",
    "describe",
    "empty",
    "factor_shapes",
    "fetch",
    "fetch_exact",
    "keep_origin",
    "kind_of",
    "kronecker",
    "metric_name",
    "outline",
    "persistent",
    "placing",
    "random_state",
    "readable",
    "rebuild",
    "require_choice",
    "require_d_value",
    "require_device",
    "require_dimensions",
    "require_dtype",
    "require_flag",
    "require_flags",
    "require_floating",
    "require_floating_dtype",
    "require_initialized",
    "require_input",
    "require_kind",
    "require_last_axis",
    "require_like",
    "require_no_grad",
    "require_pair",
    "require_path",
    "require_range",
    "require_real",
    "require_room",
    "require_same_device",
    "require_same_shape",
    "require_saved",
    "require_seed",
    "require_upstream",
    "require_whole",
    "rows_at",
    "rows_of_samples",
    "seed_torch",
    "states_tangents",
    "tie",
]
