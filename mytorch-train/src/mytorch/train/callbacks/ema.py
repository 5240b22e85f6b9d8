"""The exponential moving average of the weights."""

from __future__ import annotations

from mytorch.core import ArgumentError
from mytorch.plugins import shown
from mytorch.train.callbacks.weight_average import WeightAverage


class EMA(WeightAverage):
    """Evaluate and keep an exponential moving average of the weights, which is updated after every step.

    Formula:  a = decay * a + (1 - decay) * p, from the weights after the first step on
    decay: how much of the average remains at each step; 0.999 averages over about the last thousand steps.
    use_buffers: whether buffers, such as running statistics, are averaged as well; if not, they stay those of the net.
    Raises ArgumentError for a decay outside of 0 to 1, and together with another average of weights.
    Source:   Polyak and Juditsky 1992; as torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay)

    The evaluation on the validation and the test part, KeepBest, EarlyStopping and the files of a run use the average,
    and the net has it at the end of the run; the optimizer's state stays that of the trained weights. `train_loss` is
    that of the trained weights. With the compiled engine, each call takes one step.

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import EMA, fit
        >>> net, options = Linear(2, 2), {"epochs": 2, "batch_size": 20, "quiet": True, "callbacks": [EMA(0.9)]}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> training.notes["average"]
        {'of': 'EMA', 'updates': 10}
    """

    def __init__(self, decay: float = 0.999, use_buffers: bool = False) -> None:
        if type(decay) not in (int, float) or not 0 <= decay <= 1:
            raise ArgumentError(f"EMA: decay must be a number between 0 and 1, got {shown(decay)}")
        super().__init__(decay, use_buffers)

    def batch_ended(self) -> None:
        """Update the average with the weights after this step."""
        self.update()
