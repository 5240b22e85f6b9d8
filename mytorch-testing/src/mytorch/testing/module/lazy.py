"""Whether a lazy module takes its sizes wherever they may come from."""

from __future__ import annotations

from contextlib import suppress

import torch

from mytorch.core import DescriptionError, Module, MytorchError, describe, rebuild
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError
from mytorch.testing.module.trial import Case, Trial, is_lazy
from mytorch.testing.structure import changed, tensors


def lazy_sizes(case: Case) -> None:
    """A lazy module takes its sizes from a state dict, or from a first forward in inference mode."""
    trial = Trial(case)
    state = {name: value.clone() for name, value in trial.module.state_dict().items()}
    expected = tensors(trial.forward(case.inputs)[0], "output")
    for words, fresh in _fresh(case).items():
        try:
            fresh.load_state_dict(state)
        except MytorchError as error:
            raise CheckError(f"{words} must load the state of one that has run, got {error}") from error
        other = Trial(case)
        other.module = fresh
        other.remember_buffers()
        for name, value in tensors(other.forward(case.inputs)[0], "output").items():
            require_close(
                name, value, expected.get(name), f"be the same from {words} that took its sizes from a state"
            )
    for words, fresh in _fresh(case).items():
        with torch.inference_mode():
            fresh.forward(*case.inputs, **case.options)
        made = [name for name, held in fresh.named_state() if held.value.is_inference()]
        if made:
            rule = "make its tensors outside of inference mode, or they could not be trained after it"
            raise CheckError(f"the first forward of {words} must {rule}, got {made[0]} made in it")


def lazy_refusals(case: Case) -> None:
    """A first input that is not a tensor raises a MytorchError, and the module stays lazy."""
    for words, fresh in _fresh(case).items():
        for place, tensor in tensors(case.inputs, "").items():
            try:
                fresh.forward(*changed(case.inputs, place, tensor.tolist()), **case.options)
            except MytorchError:
                continue
            except Exception as error:
                got = f"{type(error).__name__}: {error}"
                rule = "must raise an error of the project, got"
                raise CheckError(f"a list as first input of {words} {rule} {got}; call require_input first") from error
            raise CheckError(f"a list as first input of {words} must raise an error of the project, got an output")
        if not is_lazy(fresh):
            raise CheckError(f"{words} must stay lazy after a first input that was refused, got one with weights")


def _fresh(case: Case) -> dict[str, Module]:
    """New modules without weights, by words for them: as built, and as rebuilt."""
    built = case.factory()
    found = {"a new module": built}
    with suppress(DescriptionError):  # for which description_round_trip is skipped, too
        found["a module rebuilt from its description"] = rebuild(*describe(case.factory()))
    return {words: module.to(torch.float64).train(case.training) for words, module in found.items()}
