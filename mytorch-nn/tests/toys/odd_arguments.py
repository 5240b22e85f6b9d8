"""Gives each part of mytorch-nn odd inputs, as odd_inputs.py does, with arguments that drawn_arguments.py draws."""

import json
import warnings

import torch
from drawn_arguments import DIFFERS, NAMES, drawn_arguments, of_kind
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from odd_inputs import fault, odd_inputs, single

from mytorch import nn
from mytorch.core import MytorchError, random_state
from mytorch.testing.structure import mapped

BUILDS, ODD = 6, 8
"""Ways in which a part is built, and odd inputs for each."""

FIXED = {"dropout": 0.0}
"""Arguments that are not drawn, since no two layers drop the same values."""


def faults(name):
    """What is wrong with what a part does, by its arguments and what is odd."""
    found = {}

    @settings(
        max_examples=BUILDS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def search(data):
        arguments, inputs, options = drawn_arguments(data, name, of_kind)
        fixed = FIXED | DIFFERS.get(name, {})
        arguments |= {each: value for each, value in fixed.items() if each in arguments}
        try:
            getattr(nn, name)(**arguments)
        except MytorchError:
            return
        cases = list(odd_inputs((mapped(inputs, single), dict(options))))
        for what, dtype, (odd, given_options) in data.draw(st.permutations(cases))[:ODD]:
            with torch.no_grad(), random_state():
                wrong = fault(name, lambda: getattr(nn, name)(**arguments), odd, given_options, dtype)
            if wrong:
                found[f"{arguments} {what}"] = wrong[:300]

    search()
    return found


def main():
    warnings.simplefilter("ignore")
    for name in NAMES:
        print(json.dumps({"part": name, "faults": faults(name)}), flush=True)


if __name__ == "__main__":
    main()
