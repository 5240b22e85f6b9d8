import pytest

from mytorch.plugins import SettingsError, parse_setting


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("optimizer.lr=0.05", "optimizer.lr", 0.05),
        ("epochs = 3", "epochs", 3),
        ("data.standardize=true", "data.standardize", True),
        ("dtype=float64", "dtype", "float64"),
        ('dtype="float64"', "dtype", "float64"),
        ('metrics=["Accuracy"]', "metrics", ["Accuracy"]),
        ('schedule={ type = "Ramp" }', "schedule", {"type": "Ramp"}),
        ("description=a = b", "description", "a = b"),
        ("description=", "description", ""),
        (f"lr={'[' * 3000}", "lr", "[" * 3000),
        (f"lr={'9' * 5000}", "lr", "9" * 5000),
    ],
)
def test_a_setting_is_read_as_toml_or_text(text, key, value):
    assert parse_setting(text) == (key, value)


@pytest.mark.parametrize("text", ["epochs", "=3", " = 3", ""])
def test_a_setting_without_key_or_value(text):
    with pytest.raises(SettingsError, match=r"--set: must look like optimizer.lr=0.05, got "):
        parse_setting(text)


def test_a_setting_is_one_value():
    assert parse_setting("description=1\nseed=3") == ("description", "1\nseed=3")
