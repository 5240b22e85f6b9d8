"""The compiled engine: the whole training step as one function of tensors, compiled ahead of time."""

from mytorch.train.compiled.engine import Compiled
from mytorch.train.compiled.forward import CompiledForward
from mytorch.train.compiled.warning import EngineWarning

__all__ = ["Compiled", "CompiledForward", "EngineWarning"]
