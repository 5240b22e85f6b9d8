"""Quantities of the backward beyond the gradient of a batch, such as the gradients of single samples."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.quantities.errors_of_samples import error_norms
    from mytorch.train.quantities.ggn import ggn_diagonal, kronecker_factors
    from mytorch.train.quantities.gradient_noise import GradientNoise
    from mytorch.train.quantities.influence_of_rows import influence
    from mytorch.train.quantities.layer_gradients import LayerGradients
    from mytorch.train.quantities.noise_scale import NoiseScale, measure_noise
    from mytorch.train.quantities.norms_of_samples import SampleNorms
    from mytorch.train.quantities.products import sample_products
    from mytorch.train.quantities.samples import (
        sample_gradients,
        sample_norms,
        sample_second_moment,
        sample_variance,
    )
    from mytorch.train.quantities.vector_products import (
        ggn_vector_product,
        hessian_vector_product,
        jacobian_vector_product,
    )
    from mytorch.train.quantities.warning import QuantityWarning
    from mytorch.train.quantities.watch import watch_gradients

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.quantities.errors_of_samples": ("error_norms",),
        "mytorch.train.quantities.ggn": ("ggn_diagonal", "kronecker_factors"),
        "mytorch.train.quantities.gradient_noise": ("GradientNoise",),
        "mytorch.train.quantities.influence_of_rows": ("influence",),
        "mytorch.train.quantities.layer_gradients": ("LayerGradients",),
        "mytorch.train.quantities.noise_scale": ("NoiseScale", "measure_noise"),
        "mytorch.train.quantities.norms_of_samples": ("SampleNorms",),
        "mytorch.train.quantities.products": ("sample_products",),
        "mytorch.train.quantities.samples": (
            "sample_gradients",
            "sample_norms",
            "sample_second_moment",
            "sample_variance",
        ),
        "mytorch.train.quantities.vector_products": (
            "ggn_vector_product",
            "hessian_vector_product",
            "jacobian_vector_product",
        ),
        "mytorch.train.quantities.warning": ("QuantityWarning",),
        "mytorch.train.quantities.watch": ("watch_gradients",),
    },
)

__all__ = [
    "GradientNoise",
    "LayerGradients",
    "NoiseScale",
    "QuantityWarning",
    "SampleNorms",
    "error_norms",
    "ggn_diagonal",
    "ggn_vector_product",
    "hessian_vector_product",
    "influence",
    "jacobian_vector_product",
    "kronecker_factors",
    "measure_noise",
    "sample_gradients",
    "sample_norms",
    "sample_products",
    "sample_second_moment",
    "sample_variance",
    "watch_gradients",
]
