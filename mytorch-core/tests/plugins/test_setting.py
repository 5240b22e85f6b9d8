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


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (".01", "0.01"),
        ("-.5", "-0.5"),
        ("1.", "1.0"),
        ("007", "7"),
        ("Infinity", "inf"),
        ("True", "true"),
        ("False", "false"),
    ],
)
def test_the_spelling_of_another_language(value, spelt):
    with pytest.raises(SettingsError, match=rf"--set lr: must be a value as TOML writes it, {spelt}, got {value};"):
        parse_setting(f"lr={value}")
    assert parse_setting(f'lr="{value}"') == ("lr", value)


@pytest.mark.parametrize("value", ["[Accuracy]", '["Accuracy"', "{type=Adam}", '"half', "[1, .5]"])
def test_a_list_or_table_that_is_not_finished(value):
    with pytest.raises(SettingsError, match="--set metrics: must be a list, table or text as TOML writes it, got "):
        parse_setting(f"metrics={value}")


@pytest.mark.parametrize("value", ["None", "1,5", "2026-13-40", "a b", "acme:Adam", "../rows.csv", "true-class"])
def test_what_may_well_be_text(value):
    assert parse_setting(f"name={value}") == ("name", value)
