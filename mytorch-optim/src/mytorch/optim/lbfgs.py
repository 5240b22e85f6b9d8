"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, Parameter, StateError
from mytorch.core.checks import kind_of
from mytorch.core.optimizer_state import misfit
from mytorch.optim._formula import rate
from mytorch.optim.checks import require_at_least_0, require_count, require_real
from mytorch.optim.strong_wolfe import Point, strong_wolfe
from mytorch.plugins import shown

FLAT, LISTS = ("d", "prev_flat_grad"), ("old_dirs", "old_stps", "ro")


class LBFGS(Optimizer):
    """A quasi-Newton method: steps by the gradient times an estimate of the inverse Hessian from the last steps.

    Step:      up to max_iter times, with g all gradients as one vector, and f the loss:
               y = g - g_before, s = t * d              from the step before; kept if y . s > 1e-10
               d = -H g                                 by the two loops over the last history_size pairs of y and s,
                                                        from H = (y . s) / (y . y), or H = 1 at first
               t = lr                                   min(1, 1 / sum(|g|)) * lr at the first step of all
               t from a search for the strong Wolfe conditions along d with line_search_fn = "strong_wolfe"
               p = p + t * d
               until max(|g|) <= tolerance_grad, max(|t * d|) <= tolerance_change, f changes by less than
               tolerance_change, g . d > -tolerance_change, or max_eval evaluations (max_iter * 5 / 4 if None)
    Closure:   step needs a function that sets the gradients to None, computes loss and gradients, and returns the
               loss; it is called once for each evaluation, always on the same batch. In training, a step of your own
               passes it: fit(step=...)
    Settings:  one group alone; lr may be a tensor of one number
    State:     of the first parameter, under torch's names: func_evals, n_iter, d, t, old_dirs (y), old_stps (s), ro
               (1 / (y . s)), H_diag (H), prev_flat_grad, prev_loss
    Raises:    ArgumentError for a setting outside its range, several groups, complex parameters and without a closure
    Source:    Nocedal 1980, "Updating quasi-Newton matrices with limited storage"; Liu and Nocedal 1989, "On the
               limited memory BFGS method for large scale optimization"

    Example:
        optimizer = LBFGS(net.param(), line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            y, saved = net.forward(inputs)
            value, saved_by_loss = loss.forward(y, targets)
            net.backward(loss.backward(1.0, saved_by_loss), saved)
            return value

        value = optimizer.step(closure)
    """

    conformance: ClassVar = {"arguments": {"line_search_fn": "strong_wolfe"}}  # without, rounding grows in float32
    mixes_parameters: ClassVar = True
    needs_closure: ClassVar = True
    state_entries: ClassVar = {
        "func_evals": "number",
        "n_iter": "number",
        "t": "number",
        "H_diag": "number",
        "prev_loss": "number",
        **dict.fromkeys((*FLAT, *LISTS, "al"), "other"),  # al: what torch needs within a step
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: Literal["strong_wolfe"] | None = None,
    ) -> None:
        require_count(self, "max_iter", max_iter)
        settings = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        tolerances = {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(
            params, {**settings, **tolerances, "history_size": history_size, "line_search_fn": line_search_fn}
        )

    def add_param_group(self, group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ArgumentError(
                "LBFGS: params must be one group, got several; its step is one vector of all parameters"
            )
        super().add_param_group(group)

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "tolerance_grad", "tolerance_change")
        for name in ("max_iter", "max_eval", "history_size"):
            require_count(self, name, group[name])
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {shown(group['line_search_fn'])}"
            )
        require_real(self, group["params"])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As Optimizer's. Raises StateError, with nothing changed, for vectors of another length too."""
        _, states = self._loadable(state)
        size = sum(p.value.numel() for p in self.param_groups[0]["params"])
        for held in states.values():
            vectors = [held[name] for name in FLAT if name in held]
            _require_history(held)
            vectors += [vector for name in ("old_dirs", "old_stps") for vector in held.get(name, [])]
            for vector in vectors:
                if not isinstance(vector, Tensor) or vector.shape != (size,):
                    got = f"a tensor of {tuple(vector.shape)}" if isinstance(vector, Tensor) else repr(vector)
                    raise StateError(f"LBFGS: state must have vectors of {size} numbers, one a parameter's, got {got}")
        super().load_state_dict(state)
        for held in self.state.values():
            held.update({name: list(held[name]) for name in LISTS if name in held})
            held.pop("al", None)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise the loss that `closure` computes, as far as the settings let it.

        Returns what the first call of the closure returned. Raises ArgumentError without one, and for one that returns
        no number.
        """
        if not callable(closure):
            raise ArgumentError(
                "LBFGS: step must be given a closure that computes loss and gradients, got "
                f"{'none' if closure is None else kind_of(closure)}; call step(closure), in training from a step of "
                "your own: fit(step=...)"
            )
        with torch.inference_mode(False), torch.no_grad():
            return _Run(self, closure).minimise()


class _Run:
    """One step: values and gradients as vectors, and what is kept between steps."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.optimizer, self.closure = optimizer, closure
        self.group = optimizer.param_groups[0]
        self.parameters: list[Parameter] = self.group["params"]
        self.state = optimizer.state[self.parameters[0]]
        self.evaluations = 0
        like, state = self.parameters[0].value, self.state  # vectors follow values to another dtype or device
        state.update({name: state[name].to(like) for name in FLAT if name in state})
        state.update({name: [v.to(like) for v in state[name]] for name in ("old_dirs", "old_stps") if name in state})

    def minimise(self) -> Any:
        group, state = self.group, self.state
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        result, loss, grad = self.evaluate()
        if _largest(grad) <= group["tolerance_grad"]:
            return result
        for number in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = state["d"] = self.direction(grad)
            state["prev_flat_grad"], state["prev_loss"] = grad.clone(), loss
            t = state["t"] = self.first_step(grad)
            slope = torch.dot(grad, d).item()
            if slope > -group["tolerance_change"]:
                break
            last = number == group["max_iter"]
            t, loss, grad = self.move(Point(0.0, loss, grad, slope), t, d, last)
            state["t"] = t
            if last or self.is_done(loss, grad, t * d):
                break
        return result

    def evaluate(self) -> tuple[Any, float, Tensor]:
        """What the closure returns, the loss as a number, and all gradients as one vector."""
        result = self.closure()
        if not isinstance(result, (int, float)) and not (isinstance(result, Tensor) and result.numel() == 1):
            raise ArgumentError(f"LBFGS: closure must return the loss, one number, got {kind_of(result)}")
        self.evaluations += 1
        self.state["func_evals"] += 1
        given = [p for p in self.parameters if p.grad is not None and p.trainable]
        self.optimizer._require_gradients(given)
        pieces = [p.grad if p in given else torch.zeros_like(p.value) for p in self.parameters]
        return result, float(result), torch.cat([piece.reshape(-1) for piece in pieces if piece is not None])

    def first_step(self, grad: Tensor) -> float:
        lr = float(rate(self.group))
        return min(1.0, 1.0 / grad.abs().sum().item()) * lr if self.state["n_iter"] == 1 else lr

    def direction(self, grad: Tensor) -> Tensor:
        """-H grad, with the step before taken into H."""
        state = self.state
        if state["n_iter"] == 1:
            state.update({"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1.0})
            return -grad
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        ys = torch.dot(y, s).item()
        if ys > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / ys)):
                state[name] = [*state[name], value][-self.group["history_size"] :]
            state["H_diag"] = ys / torch.dot(y, y).item()
        pairs = list(zip(state["old_dirs"], state["old_stps"], map(float, state["ro"]), strict=True))
        q, weights = -grad, []
        for y, s, ro in reversed(pairs):
            weights.append(torch.dot(s, q).item() * ro)
            q.sub_(y, alpha=weights[-1])
        q.mul_(float(state["H_diag"]))
        for (y, s, ro), weight in zip(pairs, reversed(weights), strict=True):
            q.add_(s, alpha=weight - torch.dot(y, q).item() * ro)
        return q

    def move(self, start: Point, t: float, d: Tensor, last: bool) -> tuple[float, float, Tensor]:
        """Go along d; the step that was taken, and loss and gradients there, which the last move does not compute."""
        if self.group["line_search_fn"] is None:
            self.add(t, d)
            return (t, start.loss, start.grad) if last else (t, *self.evaluate()[1:])
        values = [p.value.clone() for p in self.parameters]

        def evaluate(step: float) -> Point:
            self.add(step, d)
            _, loss, grad = self.evaluate()
            for p, value in zip(self.parameters, values, strict=True):
                p.value.copy_(value)
            return Point(step, loss, grad, torch.dot(grad, d).item())

        shortest = self.group["tolerance_change"] / max(_largest(d), 1e-300)
        most = self.group["max_eval"] - self.evaluations
        found, _ = strong_wolfe(evaluate, start, t, shortest, most)
        self.add(found.t, d)
        return found.t, found.loss, found.grad

    def add(self, t: float, d: Tensor) -> None:
        for p, piece in zip(self.parameters, d.split([p.value.numel() for p in self.parameters]), strict=True):
            if p.trainable:
                p.value.add_(piece.view(p.value.shape), alpha=t)

    def is_done(self, loss: float, grad: Tensor, step: Tensor) -> bool:
        group, change = self.group, abs(loss - self.state["prev_loss"])
        return bool(
            self.evaluations >= group["max_eval"]
            or _largest(grad) <= group["tolerance_grad"]
            or _largest(step) <= group["tolerance_change"]
            or change < group["tolerance_change"]
        )


def _largest(x: Tensor) -> float:
    return x.abs().max().item() if x.numel() else 0.0


def _require_history(held: Mapping[str, Any]) -> None:
    """Raise StateError unless what an iteration leaves is all there: three lists of one length, `ro` of numbers."""
    if held.get("n_iter") and (missing := [name for name in ("d", "H_diag", *LISTS) if name not in held]):
        raise StateError(f"LBFGS: state after an iteration must have {missing[0]!r}, got none")
    for name in LISTS:
        if not isinstance(held.get(name, []), (list, tuple)):
            raise StateError(f"LBFGS: state {name!r} must be a list, got {kind_of(held[name])}")
    lengths = [len(held.get(name, [])) for name in LISTS]
    if len(set(lengths)) > 1:
        raise StateError(f"LBFGS: state must have {', '.join(LISTS)} of one length, got {lengths}")
    for number in held.get("ro", []):
        if problem := misfit(number, "number", number):
            raise StateError(f"LBFGS: state 'ro' {problem}")
