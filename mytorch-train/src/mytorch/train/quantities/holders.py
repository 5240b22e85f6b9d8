"""Which modules of a net hold which parameters, found by one walk."""

from __future__ import annotations

from mytorch.core import Module, Parameter, tree


class Holders:
    """The modules of a net and the parameters that each holds itself, as they are now.

    modules: each once, with its path
    own: of each, by its id, the trained parameters that it holds itself, under their first names
    tied: the ids of those that hold a trained parameter under two names, of which what they state by name is one part
        each
    names: every parameter's first name in the net
    """

    def __init__(self, net: Module) -> None:
        self.modules = list(net.named_modules())
        self.own: dict[int, dict[str, Parameter]] = {}
        self.tied: set[int] = set()
        self.names: dict[Parameter, str] = {}
        for path, module in self.modules:
            trained: dict[Parameter, str] = {}
            for name, parameter in tree.own(module, Parameter):
                self.names.setdefault(parameter, f"{path}.{name}" if path else name)
                if parameter.trainable and trained.setdefault(parameter, name) != name:
                    self.tied.add(id(module))
            self.own[id(module)] = {name: parameter for parameter, name in trained.items()}
