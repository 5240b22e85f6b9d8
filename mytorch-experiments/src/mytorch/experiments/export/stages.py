"""What stands around a net in an exported model: from raw rows to its inputs, and from its outputs to predictions.

Each class needs torch alone, and its source is written out beside weights for PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Pixels from 0 to 255 as numbers from 0 to 1"""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """The same pixels in another unit."""
        return x.to(self.dtype) / 255


class Fill(nn.Module):
    """A number in place of each that is missing (NaN), one a column; NaN leaves a column as it is"""

    def __init__(self, numbers: Sequence[float], dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("numbers", torch.tensor(numbers, dtype=dtype), persistent=False)
        self.numbers: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """The same rows without holes."""
        return torch.where(x.isnan(), self.numbers, x)


class Standardize(nn.Module):
    """y = (x - mean) / std, in the dtype that is given, as numbers of the model's dtype"""

    def __init__(self, mean: Any, std: Any, dtype: torch.dtype, to: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=dtype), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=dtype), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.dtype, self.to_dtype = dtype, to

    def forward(self, x: Tensor) -> Tensor:
        """Deviations from the mean."""
        return ((x.to(self.mean.dtype) - self.mean) / self.std).to(self.to_dtype)


class Softmax(nn.Module):
    """p = softmax(scores) along the classes; the prediction is the place of the largest score"""

    def forward(self, scores: Tensor) -> dict[str, Tensor]:
        """Index, probabilities and scores of each row, or of each of its places."""
        return {"prediction": scores.argmax(1), "probabilities": scores.softmax(1), "scores": scores}


class Shares(nn.Module):
    """Scores, or their sigmoids, cut at 0 and made to add up to 1; if nothing is left, all classes are equal

    One column is that of the second class, cut to [0, 1]; with `signed`, it is s of the two columns -s and s.
    """

    def __init__(self, sigmoid: bool = False, signed: bool = False) -> None:
        super().__init__()
        self.sigmoid, self.signed = sigmoid, signed

    def forward(self, scores: Tensor) -> dict[str, Tensor]:
        """Index, probabilities and scores of each row, or of each of its places."""
        columns = torch.cat((-scores, scores), 1) if self.signed and scores.shape[1] == 1 else scores
        shares = columns.sigmoid() if self.sigmoid else columns
        if shares.shape[1] == 1:
            p = shares.clamp(0, 1)
            return {
                "prediction": (p > 0.5).long().squeeze(1),
                "probabilities": torch.cat((1 - p, p), 1),
                "scores": scores,
            }
        shares = shares.clamp(min=0)
        total = shares.sum(1, keepdim=True)
        even = torch.full_like(shares, 1 / shares.shape[1])
        probabilities = torch.where(total > 0, shares / total, even)
        return {"prediction": columns.argmax(1), "probabilities": probabilities, "scores": scores}


class Sigmoids(nn.Module):
    """p = sigmoid(score), of each label by itself"""

    def forward(self, scores: Tensor) -> dict[str, Tensor]:
        """Probabilities and scores of each label of a row."""
        return {"probabilities": scores.sigmoid(), "scores": scores}


class Numbers(nn.Module):
    """The prediction is the output; with mean and std of the targets, prediction = output * std + mean, in float64"""

    def __init__(self, mean: Any = None, std: Any = None) -> None:
        super().__init__()
        self.register_buffer(
            "mean", None if mean is None else torch.tensor(mean, dtype=torch.float64), persistent=False
        )
        self.register_buffer("std", None if std is None else torch.tensor(std, dtype=torch.float64), persistent=False)
        self.mean: Tensor | None
        self.std: Tensor | None

    def forward(self, output: Tensor) -> dict[str, Tensor]:
        """The numbers in the units of the target."""
        if self.mean is None or self.std is None:
            return {"prediction": output}
        return {"prediction": output.to(torch.float64) * self.std + self.mean}


class Model(nn.Module):
    """Raw rows in, predictions out: what prepares the rows, the net, and what reads its outputs"""

    def __init__(self, prepare: nn.Module, net: nn.Module, read: nn.Module) -> None:
        super().__init__()
        self.prepare, self.net, self.read = prepare, net, read

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """The predictions by name; further outputs of the net are output_1 and so on."""
        outputs = self.net(self.prepare(rows))
        first, *others = outputs if isinstance(outputs, tuple) else (outputs,)
        found = self.read(first.unsqueeze(1) if first.dim() == 1 else first)
        return {**found, **{f"output_{number}": other for number, other in enumerate(others, 1)}}
