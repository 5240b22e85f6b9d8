"""What rounding decides is no difference from PyTorch, and hides none."""

import torch

from mytorch.experiments import load_experiment
from mytorch.experiments.parity import compare
from mytorch.experiments.parity.report import verdict
from mytorch.nn import Conv2d, MultiheadAttention


def network_whose_bias_has_no_gradient():
    """A BatchNorm takes the bias of the convolution away, and Adam makes a step of what rounding leaves of it."""
    layers = [
        {"type": "Conv2d", "in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1},
        {"type": "BatchNorm2d", "num_features": 8},
        {"type": "ReLU"},
        {"type": "AdaptiveAvgPool2d", "output_size": 1},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
    return load_experiment(
        {
            "name": "shapes",
            "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
            "seed": 0,
            "threads": 1,
            "epochs": 2,
            "batch_size": 24,
            "data": {"train": {"type": "Shapes", "samples": 72}, "test": {"type": "Shapes", "samples": 24, "seed": 1}},
            "model": {"type": "Sequential", "layers": layers},
            "loss": {"type": "CrossEntropyLoss"},
            "optimizer": {"type": "AdamW", "lr": 0.005},
        }
    )


def test_a_step_that_rounding_decides_is_told_and_passes():
    (result,) = compare(network_whose_bias_has_no_gradient()).seeds
    assert result.passed
    assert result.steps.steps == 6
    assert result.steps.rounded > 0
    assert f"but for numbers that rounding decides, in {result.steps.rounded} of 6 steps" in verdict(result)


def test_a_wrong_gradient_is_found_beside_what_rounding_decides(monkeypatch):
    backward = Conv2d.backward

    def wrong_in_float32(self, d_y, saved):
        d_x = backward(self, d_y, saved)
        if d_y.dtype == torch.float32:
            self.weight.grad[0].neg_()
        return d_x

    monkeypatch.setattr(Conv2d, "backward", wrong_in_float32)
    (result,) = compare(network_whose_bias_has_no_gradient()).seeds
    assert not result.passed
    assert result.epoch_gap <= result.epoch_tolerance
    assert result.steps.gap > 1e-5


def test_a_part_of_a_tensor_whose_rest_rounding_decides_is_compared(monkeypatch):
    """Attention's bias of the keys has no gradient; those of the queries and values beside it have."""
    backward = MultiheadAttention.backward

    def wrong_in_float32(self, d_y, saved):
        d_x = backward(self, d_y, saved)
        if self.in_proj_bias.grad.dtype == torch.float32:
            self.in_proj_bias.grad[-8:].neg_()
        return d_x

    experiment = load_experiment(
        {
            "name": "attention",
            "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
            "seed": 0,
            "threads": 1,
            "epochs": 1,
            "batch_size": 16,
            "data": {"train": {"type": "AddingProblem", "samples": 64, "length": 8}},
            "model": {
                "type": "Sequential",
                "layers": [
                    {"type": "Linear", "in_features": 2, "out_features": 8},
                    {
                        "type": "TransformerEncoderLayer",
                        "d_model": 8,
                        "nhead": 2,
                        "dim_feedforward": 8,
                        "dropout": 0.0,
                        "batch_first": True,
                    },
                    {"type": "Select", "dim": 1, "index": -1},
                    {"type": "Linear", "in_features": 8, "out_features": 1},
                ],
            },
            "loss": {"type": "MSELoss"},
            "optimizer": {"type": "Adagrad", "lr": 0.01},
        }
    )
    assert compare(experiment).passed
    monkeypatch.setattr(MultiheadAttention, "backward", wrong_in_float32)
    (result,) = compare(experiment).seeds
    assert result.epoch_gap <= result.epoch_tolerance
    assert result.steps.gap > 1e-5
