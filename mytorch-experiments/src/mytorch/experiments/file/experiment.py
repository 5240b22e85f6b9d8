"""What an experiment file says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A table in which only the keys below may stand."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Spec(BaseModel):
    """A part by its name, and the arguments of its constructor beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    """The name of an installed part, or "distribution:Name"."""

    @property
    def arguments(self) -> dict[str, Any]:
        """All but the type."""
        return dict(self.model_extra or {})


class Split(Section):
    """Rows of the training data set held back for the test."""

    test: Annotated[float, Field(gt=0, lt=1)]
    """The share of the rows."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Data(Section):
    """The data sets and what is done to them."""

    train: Spec
    test: Spec | None = None
    split: Split | None = None
    standardize: bool = False
    """Shift and scale each input column to mean 0 and deviation 1, learned on the training rows."""
    targets: Literal["as-is", "one-hot", "binary", "standardize"] = "as-is"
    """How targets reach the loss: as they are; class indices as one column a class, or as one column of 0 and 1;
    numbers with mean 0 and deviation 1, learned on the training rows."""

    @model_validator(mode="after")
    def _one_source_of_tests(self) -> Data:
        if self.test is not None and self.split is not None:
            raise ValueError("must have either test or split, got both")
        return self


class Experiment(Section):
    """Everything that decides a run."""

    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    requires: list[str] = []
    """Distributions that must be installed, such as "mytorch-nn>=0.1"; checked before anything is imported."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Decides the initial weights, the order of the batches and dropout."""
    dtype: Literal["float32", "float64"] = "float32"
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of tensor operations; as torch decides if left out."""
    engine: Literal["eager", "compiled"] = "eager"
    """Layer by layer, or several steps in one call of machine code."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Gradients are scaled down together where the norm over all of them is above it."""
    optimizer_in_backward: bool = False
    """Update each parameter during the backward pass and free its gradient."""
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    evaluate_every: Annotated[int, Field(ge=1)] = 1
    """Metrics and the test are taken after every so many epochs, and after the last."""
    metrics: list[str | Spec] = []
    callbacks: list[str | Spec] = []
    """What takes part in the run beside the loop, such as EarlyStopping."""
    animate: bool = False
    """Draw the decision boundary of two input columns epoch by epoch, too."""
    data: Data
    model: Spec
    initialization: Spec | None = None
    """How weights are drawn; as each layer does by itself if left out."""
    loss: Spec
    optimizer: Spec
    schedule: Spec | None = None
