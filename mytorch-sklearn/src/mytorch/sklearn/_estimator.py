"""What the classifier and the regressor share: their settings, the training and the outputs of the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from mytorch.core import (
    ArgumentError,
    Loss,
    Module,
    Optimizer,
    Schedule,
    require_flags,
    require_kind,
    require_range,
    require_whole,
)
from mytorch.optim import Adam
from mytorch.plugins import Callback, shown
from mytorch.sklearn._drawing import drawing
from mytorch.sklearn._losses import Weighted
from mytorch.sklearn._network import build_network, try_out
from mytorch.sklearn._rows import Rows, as_tensor, counted, shares
from mytorch.train import EarlyStopping, KeepBest, Training, fit
from mytorch.train.device import CPU, choose_device, device_of, move
from mytorch.train.evaluation import EVALUATION_BATCH, judging, predict
from mytorch.train.position import position_of

Array = np.ndarray[Any, Any]

FIT_OPTIONS = (
    *("accumulate", "callbacks", "clip_grad_norm", "clip_grad_value", "drop_last", "engine"),
    *("evaluate_every", "memory", "optimizer_in_backward", "precision", "saved", "shuffle", "step", "weights"),
)
"""The arguments of `mytorch.train.fit` that no setting of the estimators decides."""


class MytorchEstimator(BaseEstimator):
    """The base of both estimators: a subclass says what targets are, and how outputs are read."""

    def __init__(
        self,
        module: Module | Callable[[int, int], Module] | None = None,
        *,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Callable[[], Module] = "relu",
        loss: Loss | None = None,
        optimizer: Callable[..., Optimizer] = Adam,
        learning_rate_init: float = 0.001,
        schedule: Callable[[Optimizer], Schedule] | None = None,
        max_iter: int = 200,
        batch_size: int | str = "auto",
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str | None = None,
        verbose: bool | int = False,
        fit_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.fit_options = fit_options

    # What a subclass writes

    _encoding: Any
    module_: Module
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        """X and y as arrays; X in a dtype to train in.  reset: whether the features may be others than before."""
        raise NotImplementedError

    def _new_encoding(self, y: Array, classes: Any) -> Any:
        """What turns targets into numbers for the loss, and outputs into predictions; see `_classes.py`."""
        raise NotImplementedError

    def _weights(self, y: Array, weights: Array | None, partial: bool) -> Array | None:  # noqa: ARG002
        """The weights of the rows; None where all are equal."""
        return weights

    def _strata(self, y: Array) -> Array | None:  # noqa: ARG002
        """Of what the validation rows must have the same share as the others; None of nothing."""
        return None

    # Training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows, for `max_iter` epochs at most. Returns the estimator.

        X: numbers of shape (rows, features), as an array or a data frame; float32 and float64 are computed with as
            they are, all else as float64. With a `module`, X may have more axes.
        y: the targets, (rows,) or (rows, columns).
        sample_weight: (rows,), how much each row counts; rows of weight 0 are left out.
        Raises ValueError for what cannot be trained on; ArgumentError, a ValueError, for settings out of range;
            NotFiniteError for a training whose numbers do not stay finite.
        """
        self._require_settings()
        begin = not (self.warm_start and hasattr(self, "module_"))
        return self._fit(X, y, sample_weight, begin=begin, epochs=_plain(self.max_iter))

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        self._require_settings()
        if self.early_stopping:
            raise ArgumentError(f"{_name(self)}: early_stopping must be False for partial_fit, which is one epoch")
        begin = not hasattr(self, "module_")
        return self._fit(X, y, sample_weight, begin=begin, epochs=1, classes=classes, partial=True)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        begin: bool,
        epochs: int,
        classes: Any = None,
        partial: bool = False,
    ) -> Self:
        if begin:
            self.__dict__.pop("module_", None)  # a training that fails leaves no model of another training
        place = self._place()
        X, y = self._checked(X, y, reset=begin)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        X, y, weights = counted(X, y, weights)
        if begin:
            self._encoding = self._new_encoding(y, classes)
            self._seed = int(check_random_state(self.random_state).randint(2**31))
            self.n_iter_, self.loss_curve_, self.validation_loss_curve_ = 0, [], None
        else:
            self._encoding = self._encoding.with_loss(self.loss)
            X = self._in_dtype(X)
        parts = self._parts(*counted(X, y, self._weights(y, weights, partial)))
        with drawing((self._seed + self.n_iter_) % 2**32):
            net = self._new_network(X) if begin else self.module_
            if begin or not partial:
                self._new_optimizer(net)
            try:
                training = self._trained(net, parts, epochs, place, watch=not partial)
            finally:
                net.eval()  # so that threads may predict with it at once
        self.module_ = net
        self._note(training, epochs, watch=not partial)
        return self

    def _place(self) -> torch.device | None:
        if self.device is None:
            return None
        place = choose_device(_name(self), self.device)
        if place.type == "cuda":
            torch.cuda.init()  # its generators must be there to be left as they are
        return place

    def _new_network(self, X: Array) -> Module:
        owner, sizes = _name(self), (X.shape[1], self._encoding.columns)
        net = build_network(owner, self.module, sizes, self.hidden_layer_sizes, self.activation)
        x = as_tensor(X[:2])
        net.to(x.dtype)
        try_out(owner, net, x.to(device_of(net)), self._encoding.columns)
        self._dtype = X.dtype
        return net

    def _new_optimizer(self, net: Module) -> None:
        self.optimizer_ = self.optimizer(net.param(), lr=_plain(self.learning_rate_init))
        require_kind(_name(self), "what optimizer makes", self.optimizer_, Optimizer)
        self._schedule = None if self.schedule is None else self.schedule(self.optimizer_)
        self._order_seed = self._seed + self.n_iter_

    def _parts(self, X: Array, y: Array, weights: Array | None) -> tuple[Rows, Rows | None]:
        """The rows to train on and those to validate with, which there are with early stopping."""
        chosen: list[Any] = [slice(None)]
        if self.early_stopping:
            share = {"test_size": _plain(self.validation_fraction), "random_state": self._seed}
            chosen = train_test_split(np.arange(len(y)), stratify=self._strata(y), **share)
        wanted = self._encoding.encode(y)
        wanted = wanted.astype(X.dtype, copy=False) if wanted.dtype.kind == "f" else wanted
        arrays = [X, wanted] + ([] if weights is None else [shares(weights, X.dtype)])
        parts = [Rows(*(as_tensor(one[rows]) for one in arrays)) for rows in chosen]
        return parts[0], parts[1] if self.early_stopping else None

    def _trained(
        self, net: Module, parts: tuple[Rows, Rows | None], epochs: int, place: torch.device | None, watch: bool
    ) -> Training:
        rows, validation = parts
        options = dict(self.fit_options or {})
        options["callbacks"] = [*(options.get("callbacks") or ()), *(self._watchers(validation) if watch else ())]
        return fit(
            net,
            self._criterion(rows.weights is not None).to(device_of(net), rows.inputs.dtype),
            self.optimizer_,
            rows,
            epochs=epochs,
            batch_size=min(200, len(rows)) if self.batch_size == "auto" else int(self.batch_size),
            validation=validation,
            schedule=self._schedule,
            seed=self._order_seed,
            device=place,
            quiet=not self.verbose,
            **options,
        )

    def _watchers(self, validation: Rows | None) -> Iterator[Callback]:
        """What ends the training early, and keeps the best weights of one that is validated."""
        if self.tol is not None:
            monitor = "train_loss" if validation is None else "validation_loss"
            yield EarlyStopping(monitor, _plain(self.n_iter_no_change), _plain(self.tol))
        if validation is not None:
            yield KeepBest()

    def _criterion(self, weighted: bool) -> Loss:
        loss = deepcopy(self._encoding.loss)
        if weighted and loss.reduction != "mean":
            raise ArgumentError(
                f'{_name(self)}: loss must have reduction "mean" where rows have weights, got {loss.reduction!r}'
            )
        if weighted:
            loss.reduction = "none"
        whole: Loss = self._encoding.criterion(loss)
        return Weighted(whole) if weighted else whole

    def _note(self, training: Training, epochs: int, watch: bool) -> None:
        """Take the losses of a training over, and warn of one that was still getting better."""
        records = training.history
        self.n_iter_ += len(records)
        self.loss_curve_ = self.loss_curve_ + [record["train_loss"] for record in records]
        if training.validation is not None:
            judged = [record["validation_loss"] for record in records if "validation_loss" in record]
            self.validation_loss_curve_ = (self.validation_loss_curve_ or []) + judged
        if watch and self.tol is not None and len(records) == epochs and not training.hooks.stopped:
            warnings.warn(
                f"{_name(self)}: the loss was still getting better by more than tol={self.tol:g} after "
                f"max_iter={epochs} epochs; raise max_iter or learning_rate_init, or set tol=None to train for "
                "max_iter epochs without a look at the loss",
                ConvergenceWarning,
                stacklevel=4,
            )

    # Settings

    def _require_settings(self) -> None:
        owner = _name(self)
        require_whole(owner, "max_iter", _plain(self.max_iter), 1)
        require_whole(owner, "n_iter_no_change", _plain(self.n_iter_no_change), 1)
        if self.batch_size != "auto":
            require_whole(owner, "batch_size", _plain(self.batch_size), 1)
        if self.tol is not None:
            require_range(owner, "tol", _plain(self.tol), 0)
        require_range(owner, "learning_rate_init", _plain(self.learning_rate_init), 0)
        require_flags(owner, early_stopping=_plain(self.early_stopping), warm_start=_plain(self.warm_start))
        if not isinstance(_plain(self.validation_fraction), float) or not 0 < self.validation_fraction < 1:
            got = shown(self.validation_fraction)
            raise ArgumentError(f"{owner}: validation_fraction must be a number between 0 and 1, got {got}")
        if not callable(self.optimizer):
            raise ArgumentError(
                f"{owner}: optimizer must be a class such as mytorch.optim.Adam, or a function of parameters and lr, "
                f"got {shown(self.optimizer)}"
            )
        if self.schedule is not None and not callable(self.schedule):
            raise ArgumentError(f"{owner}: schedule must be a function of the optimizer, got {shown(self.schedule)}")
        given = {} if self.fit_options is None else self.fit_options
        unknown = [name for name in given if name not in FIT_OPTIONS] if isinstance(given, Mapping) else [given]
        if unknown:
            raise ArgumentError(
                f"{owner}: fit_options must be a dict of {', '.join(FIT_OPTIONS)}, got {shown(unknown[0])}"
            )

    def _valid_X(self, X: Any, **options: Any) -> Any:
        """X, and y if it is given, as scikit-learn checks them."""
        kept = np.float32 if _is_frame_of_float32(X) else (np.float64, np.float32)
        return validate_data(self, X, dtype=kept, allow_nd=self.module is not None, **options)

    def _in_dtype(self, X: Array) -> Array:
        """X in the dtype of the network. Raises ArgumentError for numbers that it cannot hold."""
        if X.dtype == self._dtype:
            return X
        with np.errstate(over="ignore"):
            found: Array = X.astype(self._dtype)
        if not np.isfinite(found).all():
            raise ArgumentError(
                f"{_name(self)}: X must fit into {self._dtype}, in which the model was trained, got "
                f"{X[~np.isfinite(found)].flat[0]:g}; scale the features, or train with float64"
            )
        return found

    # Outputs

    def _outputs(self, X: Any) -> Array:
        """The outputs of the network for new rows, (rows, columns)."""
        check_is_fitted(self, "module_")
        X = self._in_dtype(self._valid_X(X, reset=False))
        net = self.module_
        place, found = device_of(net), []
        with judging(net):
            for at in range(0, len(X), EVALUATION_BATCH):
                x = as_tensor(X[at : at + EVALUATION_BATCH]).to(place)
                found.append(predict(net, x).cpu().numpy())
        return np.concatenate(found)

    # Keeping

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and copies keep: the model where every machine can read it, and the order of the rows."""
        state = dict(super().__getstate__())
        if "module_" in state:
            position = position_of(self.optimizer_)
            state["_position"] = (position.epoch, position.order)
        if "module_" in state and device_of(self.module_).type != "cpu":
            net, optimizer, schedule = deepcopy((self.module_, self.optimizer_, self._schedule))
            net.to("cpu")
            for held in optimizer.state.values():
                held.update(move(held, CPU))
            state |= {"module_": net, "optimizer_": optimizer, "_schedule": schedule}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        epoch, order = state.pop("_position", (0, None))
        super().__setstate__(state)
        if order is not None:
            generator = torch.Generator().manual_seed(self._order_seed)
            generator.set_state(order)
            position_of(self.optimizer_).complete(epoch, generator)


def _is_frame_of_float32(X: Any) -> bool:
    """Whether X is a frame of polars with columns of float32 alone, whose dtype scikit-learn does not see."""
    dtypes = getattr(X, "dtypes", None)
    return isinstance(dtypes, list) and len(dtypes) > 0 and all(str(one) == "Float32" for one in dtypes)


def _plain(value: Any) -> Any:
    """A number of NumPy, as searches draw them, as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _name(estimator: object) -> str:
    return type(estimator).__name__
