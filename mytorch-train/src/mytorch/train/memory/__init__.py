"""Training in less memory: a budget for what layers save (activation checkpointing), and other ways to store it."""

from mytorch.train.memory.bytes_of import bytes_of
from mytorch.train.memory.measure import Layer, Measured, measure
from mytorch.train.memory.plan import Plan, choose_plan, least_bytes

__all__ = ["Layer", "Measured", "Plan", "bytes_of", "choose_plan", "least_bytes", "measure"]
