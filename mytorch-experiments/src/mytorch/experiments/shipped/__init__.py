"""The experiments that come with mytorch-experiments; each name is the path of its file."""

from pathlib import Path

_here = Path(__file__).parent

adding_lstm = _here / "adding-lstm.toml"
autoencoder = _here / "autoencoder.toml"
digits_cnn = _here / "digits-cnn.toml"
disk = _here / "disk.toml"
disk_tuned = _here / "disk-tuned.toml"
resnet = _here / "resnet.toml"
shapes_unet = _here / "shapes-unet.toml"
sine_forecast = _here / "sine-forecast.toml"
text_gpt = _here / "text-gpt.toml"
text_lstm = _here / "text-lstm.toml"
vae = _here / "vae.toml"

__all__ = [
    "adding_lstm",
    "autoencoder",
    "digits_cnn",
    "disk",
    "disk_tuned",
    "resnet",
    "shapes_unet",
    "sine_forecast",
    "text_gpt",
    "text_lstm",
    "vae",
]
