"""What an experiment file says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)

from mytorch.core import ArgumentError
from mytorch.plugins import printable, shown
from mytorch.train.checkpoint.keeper import EVERY
from mytorch.train.memory.bytes_of import bytes_of
from mytorch.train.parallel.pipeline.cut import choose_micro_batches

Count = Annotated[int, Field(ge=1, le=10**9)]
"""Of epochs, batches or rows: at most a billion, since more would not end."""


def _one_line(name: str) -> str:
    if printable(name) != name or len(name.splitlines()) != 1:
        raise ValueError(f"must be one line of text without control characters, got {shown(name)}")
    return name


def _stages(stages: object) -> object:
    try:
        choose_micro_batches(stages, None)
    except ArgumentError as error:
        raise ValueError(str(error).removeprefix("stages: ")) from error
    return stages


def _memory(memory: object) -> object:
    if memory is not None:
        try:
            bytes_of("memory", memory)
        except ArgumentError as error:
            raise ValueError(str(error).removeprefix("memory: ")) from error
    return memory


class Section(BaseModel):
    """A table in which only the keys below may stand."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Spec(BaseModel):
    """A part by its name, and the arguments of its constructor beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    """The name of an installed part, or "distribution:Name"."""
    _replaced: str | None = PrivateAttr(None)
    """The type of the file, if an override gave another and left the file's other settings."""

    @property
    def arguments(self) -> dict[str, Any]:
        """All but the type."""
        return dict(self.model_extra or {})


class Start(Section):
    """Whose weights a model begins with."""

    path: str
    """The folder of a run, or a safetensors file with torch's names."""
    take: str | list[str] = "*"
    """Patterns of the names of weights to take."""
    leave: str | list[str] = []
    """Patterns of the names of weights that stay as they were drawn."""
    freeze: str | list[str] = []
    """Patterns of the names of parameters that are not trained."""


class ModelSpec(Spec):
    """A model, which may begin with the weights of another one."""

    start: Annotated[Start | None, Field(alias="from")] = None
    """Whose weights it begins with: a path, or a table that says which; None for its own."""

    @field_validator("start", mode="before")
    @classmethod
    def _path_alone(cls, said: object) -> object:
        return {"path": said} if isinstance(said, str) else said


class Rule(BaseModel):
    """Which parameters make a group of the optimizer, and the settings of that group beside it."""

    model_config = ConfigDict(extra="allow", strict=True)

    parameters: str | list[str] | None = None
    """Patterns of names, such as "*bias"."""
    layers: str | list[str] | None = None
    """Patterns of the classes of the layers around them, such as "LayerNorm"."""


class OptimizerSpec(Spec):
    """An optimizer, whose groups of parameters may have settings of their own."""

    groups: list[Rule] = []


class InitializationRule(BaseModel):
    """Which initialiser draws which parameters of which layers: every other key is the name of parameters."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, str | Spec]

    layers: str | list[str] = "*"
    """Patterns of the classes of layers, such as "Conv*"."""
    names: str | list[str] = "*"
    """Patterns of the paths of layers, such as "encoder.*"."""

    @property
    def initializers(self) -> dict[str, str | Spec]:
        """By the name, or a pattern of names, of the parameters."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="after")
    def _names_a_parameter(self) -> InitializationRule:
        if not self.initializers:
            raise ValueError('must say what draws which parameter, such as weight = "kaiming_normal", got nothing')
        return self


def _initialization_tag(value: object) -> str:
    return "rules" if isinstance(value, list) else "Spec"


Initialization = Annotated[
    Annotated[Spec, Tag("Spec")] | Annotated[list[InitializationRule], Tag("rules")],
    Discriminator(_initialization_tag),
]
"""One initialiser for the whole network, or rules that are followed one after the other."""


class Split(Section):
    """Rows of the training data set held back to judge the model by."""

    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of the rows that selects: early stopping, the best weights."""
    test: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of the rows that says how good the result is."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    stratify: bool = True
    """Whether each part gets its share of every class."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """The test part is one of so many equal parts of the rows, and each of them in turn with train --folds."""
    fold: Annotated[int, Field(ge=1)] | None = None
    """Which of the folds it is, from 1."""

    @model_validator(mode="after")
    def _holds_something_back(self) -> Split:
        if (self.folds is None) != (self.fold is None) or (self.fold or 0) > (self.folds or 0):
            raise ValueError(f"must have fold from 1 to folds, or neither, got {self.fold} and {self.folds}")
        if self.folds is not None and self.test is not None:
            raise ValueError("must have either test or fold and folds, got both")
        if self.validation is None and self.test is None and self.folds is None:
            raise ValueError("must have validation, test or both, got neither")
        return self


class Augment(Section):
    """How images of the training part are changed at random whenever they are read."""

    flip: bool = False
    """Whether an image is mirrored from left to right with probability 1/2."""
    random_crop: Annotated[int, Field(ge=0, le=4096)] = 0
    """Up to how many pixels an image is shifted."""


class Data(Section):
    """The data sets and what is done to them."""

    train: Spec
    validation: Spec | None = None
    test: Spec | None = None
    split: Split | None = None
    standardize: bool = False
    """Shift and scale each input column to mean 0 and deviation 1, learned on the training rows."""
    augment: Augment | None = None
    """Random changes of the images of the training part."""
    keep: Annotated[str, Field(min_length=1)] | None = None
    """A CSV file that lists the rows of the training part to train on, such as one of `mytorch prune-data`."""
    targets: Literal["as-is", "one-hot", "binary", "standardize"] = "as-is"
    """How targets reach the loss: as they are; class indices as one column a class, or as one column of 0 and 1;
    numbers with mean 0 and deviation 1, learned on the training rows."""

    @model_validator(mode="after")
    def _one_source_each(self) -> Data:
        for part in ("validation", "test"):
            if getattr(self, part) is not None and getattr(self.split, part, None) is not None:
                raise ValueError(f"must have either {part} or split.{part}, got both")
        if self.test is not None and self.split is not None and self.split.folds is not None:
            raise ValueError("must have either test or split.folds, got both")
        return self


class PrivacySettings(Section):
    """Differential privacy with respect to the training rows."""

    max_norm: Annotated[float, Field(gt=0)]
    """The bound of the norm of the gradient of a row."""
    noise_multiplier: Annotated[float, Field(ge=0)]
    """The deviation of the noise, in multiples of max_norm."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    """How likely the promise may fail."""
    max_epsilon: Annotated[float, Field(ge=0)] | None = None
    """A training that would spend more is refused."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Decides rows and noise; a random number of the system if left out, so that nobody can take the noise off."""


class Experiment(Section):
    """Everything that decides a run."""

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
    description: str = ""
    requires: list[str] = []
    """Distributions that must be installed, such as "mytorch-nn>=0.1"; checked before anything is imported."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Decides the initial weights, the order of the batches and dropout."""
    dtype: Literal["float32", "float64"] = "float32"
    device: Annotated[str, Field(min_length=1)] = "cpu"
    """Where the model is trained: "cpu", "cuda", "cuda:1", "mps", or "auto" for what there is."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of tensor operations; as torch decides if left out. Asked for too many, a system ends the process."""
    engine: Literal["eager", "compiled", "auto"] = "eager"
    """Layer by layer, several steps in one call of machine code, or the first and from some step on the second."""
    clip_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Gradients are scaled down together where the norm over all of them is above it."""
    clip_grad_value: Annotated[float, Field(gt=0)] | None = None
    """Every number of the gradients is brought within it, above and below 0."""
    clip_sample_norm: Annotated[float, Field(gt=0)] | None = None
    """The gradient of every single sample is scaled down where its norm is above it."""
    privacy: PrivacySettings | None = None
    """Train with differential privacy: with clipped and noisy gradients, on rows that are drawn one by one."""
    accumulate: Count = 1
    """So many batches make one step, as one large batch would."""
    precision: Literal["bfloat16-mixed", "float16-mixed", "bfloat16"] | None = None
    """Layers compute in half precision, on copies of values that stay float32 or, with "bfloat16", on values that are
    stored in it; in float32 if left out."""
    optimizer_in_backward: bool = False
    """Update each parameter during the backward pass and free its gradient."""
    memory: Annotated[str | int | None, BeforeValidator(_memory)] = None
    """The most that layers may save for the backward pass, such as "2 GiB"; others are computed again."""
    saved: Literal["bfloat16", "int8", "disk"] | None = None
    """How what layers save is stored between the passes: with fewer bits, or in a temporary file."""
    weights: Literal["disk"] | None = None
    """Where parameters and the optimizer's state lie: in temporary files, for a model that is larger than memory."""
    stages: Annotated[int | list[int], BeforeValidator(_stages)] = 1
    """Of a pipeline of several processes, which share out the layers: their number, or the layers of each."""
    micro_batches: Count | None = None
    """With stages, into so many parts each batch is cut; four for each stage if left out."""
    shard: Literal["optimizer", "gradients", "parameters"] | None = None
    """What several processes divide among them: the optimizer's state, gradients, too, or parameters, too."""
    epochs: Count
    batch_size: Count
    shuffle: bool = True
    """Whether each epoch has an order of its own."""
    drop_last: bool = False
    """Leave the rows out that would make a smaller batch at the end of an epoch."""
    evaluate_every: Count = 1
    """Metrics and the test are taken after every so many epochs, and after the last."""
    checkpoint_every: Annotated[float, Field(ge=0)] = EVERY
    """Seconds between two checkpoints, from which a run is resumed."""
    metrics: list[str | Spec] = []
    callbacks: list[str | Spec] = []
    """What takes part in the run beside the loop, such as EarlyStopping."""
    quantities: list[str | Spec] = []
    """What is computed of the gradients of every step while its backward runs, such as GradientNoise."""
    rule: Spec | None = None
    """The learning rule that makes the gradients, such as FeedbackAlignment; backpropagation if left out."""
    animate: bool = False
    """Draw the decision boundary of two input columns epoch by epoch, too."""
    data: Data
    model: ModelSpec
    initialization: Initialization | None = None
    """How weights are drawn, by one initialiser or by rules; as each layer does by itself if left out."""
    loss: Spec
    optimizer: OptimizerSpec
    schedule: Spec | None = None

    _origin: str | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.model_dump() == other.model_dump()  # wherever they were read

    @property
    def rate_key(self) -> str:
        """The key of the learning rate: a schedule that has its highest rate takes no notice of the optimizer's."""
        own = self.schedule is not None and "max_lr" in self.schedule.arguments
        return "schedule.max_lr" if own else "optimizer.lr"

    @property
    def origin(self) -> str | None:
        """The file that says all this; None if it is none."""
        return self._origin
