"""A walk through torch.nn: each of its classes is here, with its arguments, or there is a reason why not."""

import inspect

import pytest
import torch

from mytorch import core, nn

NOT_HERE = {
    "Module": "mytorch.core.Module is what layers derive from",
    "Container": "deprecated in torch: a module by another name",
    "NLLLoss2d": "deprecated in torch: NLLLoss takes images",
    "RNNBase": "what RNN, LSTM and GRU of torch have in common, and no layer",
    "RNNCellBase": "what the cells of torch have in common, and no layer",
    "DataParallel": "one process for several devices, which torch itself advises against",
    "ParameterList": "parameters are attributes of the module that trains them",
    "ParameterDict": "parameters are attributes of the module that trains them",
}
ARGUMENTS_LEFT_OUT = {
    "inplace": "nobody writes into an input, which another forward in flight may hold",
    "size_average": "deprecated in torch: reduction says it",
    "reduce": "deprecated in torch: reduction says it",
    "args": "torch's signature hides the arguments, or takes any",
    "kwargs": "torch's signature hides the arguments, or takes any",
    "SyncBatchNorm.process_group": "statistics are those of all processes that train together",
    "Hardtanh.min_value": "deprecated in torch: min_val says it",
    "Hardtanh.max_value": "deprecated in torch: max_val says it",
    "TransformerEncoder.enable_nested_tensor": "a flag of how torch computes, not of what",
    "TransformerEncoder.mask_check": "a flag of how torch computes, not of what",
    "LinearCrossEntropyLoss.options": "a flag of how torch computes; its one entry is an argument here",
}
ARGUMENTS_OF_OURS = {
    "generator": "a random layer may have a stream of its own",
    "RNN": "torch's signature hides the arguments",
    "LSTM": "torch's signature hides the arguments",
    "GRU": "torch's signature hides the arguments",
    "Sequential.layers": "torch calls them args",
    "LinearCrossEntropyLoss.batch_chunk_size": "torch's entry of options",
    "TransformerEncoderLayer.is_causal": "an experiment file calls no forward, so the layer is told",
}
OTHER_DEFAULTS = {"activation": "a function has a name, which a description can hold"}
CLASSES = sorted(
    name
    for name, value in vars(torch.nn).items()
    if inspect.isclass(value) and issubclass(value, torch.nn.Module) and not name.startswith("_")
)


def test_torch_has_as_many_classes_as_were_counted():
    assert len(CLASSES) >= 163


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_of_torch(name):
    ours, reason = getattr(nn, name, None), NOT_HERE.get(name)
    assert (ours is None) != (reason is None), f"{name}: here, or on the list with its reason"
    if ours is None:
        return
    assert issubclass(ours, core.Module)
    theirs, found = (inspect.signature(cls).parameters for cls in (getattr(torch.nn, name), ours))
    for argument in theirs.keys() - found.keys():
        assert ARGUMENTS_LEFT_OUT.keys() & {argument, f"{name}.{argument}"}, f"{name} must take {argument}"
    for argument in found.keys() - theirs.keys():
        assert ARGUMENTS_OF_OURS.keys() & {argument, name, f"{name}.{argument}"}, f"{name} must not take {argument}"
    shared = [argument for argument in theirs if argument in found]
    assert shared == [argument for argument in found if argument in theirs], f"{name}: the order is torch's"
    for argument in set(shared) - OTHER_DEFAULTS.keys():
        assert found[argument].default == theirs[argument].default, f"{name}: default of {argument}"


def test_no_exception_is_left_over():
    assert NOT_HERE.keys() <= set(CLASSES)
    for listed in (ARGUMENTS_LEFT_OUT, ARGUMENTS_OF_OURS):
        for name in {entry.partition(".")[0] for entry in listed if entry[0].isupper()}:
            assert name in CLASSES
