"""Every error is a MytorchError and the builtin that fits."""

import pytest

from mytorch import core, plugins

BUILTINS = {
    core.ShapeError: ValueError,
    core.ContractError: TypeError,
    core.DtypeError: TypeError,
    core.AutogradError: RuntimeError,
    core.ModuleTreeError: TypeError,
    core.StateError: ValueError,
    core.UninitializedError: AttributeError,
    core.DescriptionError: ValueError,
    core.ArgumentError: ValueError,
    core.RowIndexError: IndexError,
    plugins.FileError: OSError,
    plugins.PluginError: RuntimeError,
    plugins.DuplicateError: RuntimeError,
    plugins.UnknownNameError: LookupError,
    plugins.MissingRequirementError: ImportError,
    plugins.SettingsError: ValueError,
}


@pytest.mark.parametrize(("kind", "builtin"), BUILTINS.items())
def test_derives_from_both(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, core.MytorchError)
    assert issubclass(kind, builtin)


def test_no_error_was_forgotten_here() -> None:
    public = [getattr(part, name) for part in (core, plugins) for name in part.__all__]
    errors = {one for one in public if isinstance(one, type) and issubclass(one, core.MytorchError)}
    assert errors == {core.MytorchError, *BUILTINS}


def test_there_is_one_base() -> None:
    assert core.MytorchError is plugins.MytorchError
