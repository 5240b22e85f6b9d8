"""Whether a layer whose input nobody differentiates still answers its parameters."""

from mytorch.testing.module.trial import Case, Trial, require_equal


def without_input_gradient(case: Case) -> None:
    """With input_grad=False, the gradients of the parameters are the same."""
    trial = Trial(case)
    trial.require_parameters()
    trial.module.zero_grad()
    expected = trial.gradients(case.inputs)
    trial.module.input_grad = False
    trial.module.zero_grad()
    output, saved = trial.forward(case.inputs)
    trial.backward(trial.upstream(output), saved)
    actual = trial.parameter_gradients()
    require_equal(actual, {name: expected[name] for name in actual}, "stay the same with input_grad=False")
