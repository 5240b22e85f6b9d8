"""Clipping gradients by their joint norm."""

from __future__ import annotations

import torch

from mytorch.core import Optimizer


def clip_gradients(optimizer: Optimizer, max_norm: float) -> None:
    """Scale all gradients that the optimizer would use alike, so that their norm is at most `max_norm`.

    Formula:  norm = sqrt(sum of d^2 over all gradients);  d = d * min(1, max_norm / (norm + 1e-6))
    Source:   Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", in the form of
              torch.nn.utils.clip_grad_norm_
    """
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None and p.trainable]
    if grads:
        traced = torch.compiler.is_compiling()  # machine code comes of the formula only
        norms = [torch.linalg.vector_norm(d) for d in grads] if traced else torch._foreach_norm(grads)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        torch._foreach_mul_(grads, (max_norm / (norm + 1e-6)).clamp(max=1.0))
