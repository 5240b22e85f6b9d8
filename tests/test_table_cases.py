"""Tables that people brought and could not use, from `experiment new` to the predictions."""

import json
import random
import shlex
import shutil
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.experiment import experiment
from mytorch.commands.predict import predict
from mytorch.data import SplitWarning, TableWarning
from mytorch.experiments import train_experiment

pytest.importorskip("pyarrow", reason="pyarrow comes with mytorch-data[tables]")
CASES = Path(__file__).parent / "cases"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for file in CASES.glob("*.csv"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(name, *options):
    """What `experiment new` prints of a case, or why it refuses it."""
    result = CliRunner().invoke(experiment, ["new", f"{name}.csv", "--target", "y", "--force", *options])
    return result.stdout if result.exit_code == 0 else str(result.exception)


def trained(name, capsys, epochs=None):
    """A run of a case, and what training printed on stderr."""
    capsys.readouterr()
    tested = {"data.split.test": 0.15} if "[data.test]" not in Path(f"{name}.toml").read_text() else {}
    run = train_experiment(f"{name}.toml", tested if epochs is None else {**tested, "epochs": epochs})
    return run, capsys.readouterr().err


def predicted(run, name, *options):
    """The lines that `predict` writes for a table."""
    arguments = [str(run.path), f"{name}.csv", "--output", "out.csv", "--force", *options]
    result = CliRunner().invoke(predict, arguments)
    assert result.exit_code == 0, str(result.exception)
    return Path("out.csv").read_text().splitlines()


def test_a_category_that_was_not_seen(capsys):
    new("category")
    run, _ = trained("category", capsys, epochs=3)
    with pytest.warns(TableWarning, match="category that was not trained on in 1 row, taken as none .*: 'Bonn'"):
        assert len(predicted(run, "category_new")) == 3
    Path("category.toml").write_text(Path("category.toml").read_text().replace('unseen = "none"', ""))
    run, _ = trained("category", capsys, epochs=1)
    result = CliRunner().invoke(predict, [str(run.path), "category_new.csv", "--output", "out.csv", "--force"])
    assert "row 3, column 'city' must be a category" in str(result.exception)
    assert "got 'Bonn'; train with unseen = \"none\"" in str(result.exception)


def test_a_test_file_with_a_category_that_was_not_seen(capsys):
    new("category")
    Path("test.csv").write_text("a,city,y\n0.5,Rom,nein\n1.5,Bonn,ja\n")
    text = Path("category.toml").read_text()
    Path("category.toml").write_text(f'{text}\n[data.test]\ntype = "Table"\npath = "test.csv"\n')
    with pytest.warns(TableWarning, match="'Bonn'"):
        run, _ = trained("category", capsys, epochs=1)
    assert "accuracy" in run.summary["test"]


def test_a_country_that_looks_like_a_missing_cell(capsys):
    told = new("markers_na")
    assert "  country: 67 of 200 rows ('NA' in 67)\n  If 'NA' is a value of country: --missing-marker ''" in told
    run, said = trained("markers_na", capsys, epochs=2)
    assert "country: 67 of 200 cells are missing ('NA' in 67), filled with 'DE', which is seen most" in said
    told = new("markers_na", "--missing-marker", "")
    assert "Missing" not in told
    run, said = trained("markers_na", capsys)
    assert "missing" not in said
    assert run.data["columns"] == ["country=DE", "country=FR", "country=NA"]
    assert run.summary["test"]["r2"] > 0.9
    assert len(predicted(run, "markers_na")) == 201


def test_a_dash_in_a_column_of_numbers(capsys):
    assert "b: a number column but for '-' in 6 rows; --missing-marker - takes them for missing" in new("markers_dash")
    assert "b: 6 of 60 rows ('-' in 6)" in new("markers_dash", "--missing-marker", "-")
    run, said = trained("markers_dash", capsys, epochs=2)
    assert "b: 6 of 60 cells are missing ('-' in 6), filled with the mean, " in said
    Path("new.csv").write_text("b,a\n-,0.5\n7,1.5\n")
    assert len(predicted(run, "new")) == 3


def test_spaces_around_the_names_of_columns(capsys):
    assert "2 columns to learn from: a, b" in new("header_spaces")
    run, _ = trained("header_spaces", capsys, epochs=2)
    assert run.data["columns"] == ["a", "b"]
    assert len(predicted(run, "header_spaces_new")) == 2


def test_classes_that_are_large_whole_numbers(capsys):
    assert "2 classes (9007199254740992, 9007199254740993)" in new("large_integer_classes")
    run, _ = trained("large_integer_classes", capsys)
    assert run.summary["test"]["accuracy"] > 0.95
    lines = predicted(run, "large_integer_classes")
    assert {line.split(",")[0] for line in lines[1:]} == {"9007199254740992", "9007199254740993"}
    assert run.evaluate("large_integer_classes.csv")["accuracy"] > 0.95


def test_a_separator_of_thousands(capsys):
    assert "income (numbers written as '1,000'; --thousands , reads them)" in new("thousands")
    assert "1 column to learn from: income" in new("thousands", "--thousands", ",")
    run, _ = trained("thousands", capsys)
    assert run.summary["test"]["r2"] > 0.95
    Path("new.csv").write_text('income\n"2,036"\n2036\n')
    first, second = predicted(run, "new")[1:]
    assert float(first) == pytest.approx(float(second), rel=1e-6)
    assert float(first) == pytest.approx(42, abs=5)


def test_a_column_without_a_name(capsys):
    told = new("index_column")
    assert "2 columns to learn from: a, b\nLeft out: column 1: it has no name in the first line" in told
    run, _ = trained("index_column", capsys, epochs=2)
    assert len(predicted(run, "index_column")) == 61
    Path("without.csv").write_text("a,b\n0.9,0.93\n")
    assert len(predicted(run, "without")) == 2


@pytest.mark.parametrize(("separator", "option"), [(";", ";"), ("\t", r"\t"), ("|", "|")])
def test_another_delimiter(separator, option, capsys):
    Path("other.csv").write_text(Path("category.csv").read_text().replace(",", separator))
    told = new("other")
    assert "must have several columns, got one" in told
    assert "fits every row" in told
    assert "2 columns to learn from: a, city" in new("other", "--delimiter", option)


def test_dates_and_codes_and_ids(capsys):
    days = [f"2024-{at % 12 + 1:02}-{at % 28 + 1:02}" for at in range(90)]
    rows = [
        f"{1000 + 37 * at},{day},{at % 3 + 7},{at * 1.5 % 7},{at % 12 * 10 + at % 3}" for at, day in enumerate(days)
    ]
    Path("mixed.csv").write_text("customer_id,sold,zone,size,y\n" + "\n".join(rows) + "\n")
    told = new("mixed")
    assert "Left out: customer_id: the name of each row, as its own name says" in told
    assert "Left out: sold: dates; --dates uses their year" in told
    assert "Few whole numbers, perhaps codes: zone; --categories zone makes a category of each value" in told
    told = new("mixed", "--dates", "--categories", "zone")
    assert "Categories, one-hot: zone" in told
    assert "Dates, by year, month, weekday and days since the first: sold" in told
    run, _ = trained("mixed", capsys, epochs=2)
    assert run.data["columns"][:4] == ["sold year", "sold month", "sold weekday", "sold days"]
    assert run.data["columns"][4:] == ["zone=7", "zone=8", "zone=9", "size"]
    Path("new.csv").write_text("sold,zone,size\n2025-01-01,8,1.5\n")
    assert len(predicted(run, "new")) == 2


def written(path, separator, decimal, encoding="utf-8"):
    """The rows of one random table, written with these signs."""
    drawn = random.Random(7)
    rows = [(drawn.gauss(0, 1), drawn.gauss(5, 2), drawn.choice("ab")) for _ in range(60)]
    lines = [[*(f"{number:.3f}".replace(".", decimal) for number in row[:2]), row[2]] for row in rows]
    path.write_text("".join(separator.join(cells) + "\n" for cells in [["u", "v", "y"], *lines]), encoding)


def test_new_rows_with_other_signs_than_those_of_the_training(tmp_path, capsys):
    written(tmp_path / "trained.csv", ",", ".")
    new("trained")
    run, _ = trained("trained", capsys, epochs=2)
    wanted = predicted(run, "trained")
    for name, separator, decimal, encoding, options in (
        ("semicolons", ";", ".", "utf-8", ("--delimiter", ";")),
        ("commas", ";", ",", "utf-8", ("--delimiter", ";", "--decimal", ",")),
        ("tabs", "\t", ",", "utf-8", ("--delimiter", r"\t", "--decimal", ",")),
        ("bars", "|", ",", "utf-8-sig", ("--delimiter", "|", "--decimal", ",")),
        ("wide", ",", ".", "utf-16", ("--encoding", "utf-16")),
    ):
        written(tmp_path / f"{name}.csv", separator, decimal, encoding)
        said = shlex.join(options)
        told = CliRunner().invoke(predict, [str(run.path), f"{name}.csv", "--output", "out.csv", "--force"])
        assert said in str(told.exception), said
        assert said in new(name)
        assert predicted(run, name, *options) == wanted
        assert "2 columns to learn from: u, v" in new(name, *options)
        judged = CliRunner().invoke(evaluate, [str(run.path), "--data", f"{name}.csv", "--json", *options])
        assert json.loads(judged.stdout)["rows"] == 60
    new("commas", "--delimiter", ";", "--decimal", ",")  # and a run of such a table, given the usual signs
    run, _ = trained("commas", capsys, epochs=1)
    assert len(predicted(run, "trained", "--delimiter", ",", "--decimal", ".")) == 61


def test_a_comma_between_three_digits_is_a_decimal_sign_beside_semicolons():
    Path("prices.csv").write_text(
        "x;y\n" + "".join(f"{1 + number % 9},{100 + number};{number % 2}\n" for number in range(80))
    )
    assert "x (numbers written as '1,100'; --decimal , reads them)" in new("prices", "--delimiter", ";")


def test_a_group_of_thousands_does_not_begin_with_0():
    Path("shares.csv").write_text("x,y\n" + "".join(f'"0,{100 + number}",{number % 2}\n' for number in range(80)))
    assert "x (numbers written as '0,100'; --decimal , reads them)" in new("shares")


def test_a_quote_that_is_left_open_in_the_first_line(capsys):
    Path("quote.csv").write_text('u,"v,y\n' + "1.5,2.5,0\n" * 30)
    assert new("quote").endswith("rows below it, got one row; is a quote in it left open?")
    lines = ["1,2,ja"] * 30_000
    Path("quote.csv").write_text("\n".join(["a,b,y", '1,"2,ja', *lines, ""]))
    told = "cells must have at most 131072 characters, got more; close the quote that is left open, if there is one"
    assert new("quote") == f"quote.csv: {told}"


RARE = "class 'rare' has only 3 rows in the training part, no row in the validation part; it has 3 in all"


def test_rare_classes_are_told_by_train_and_by_neither_quiet_training_nor_evaluate():
    draw = random.Random(0)
    rows = [f"{draw.gauss(0, 1)},{draw.gauss(0, 1)},{'rare' if row < 3 else 'often'}" for row in range(200)]
    Path("rare.csv").write_text("\n".join(["a,b,y", *rows, ""]))
    new("rare")
    with pytest.warns(SplitWarning, match=rf"{RARE}\nsplit: results for so few rows .*; add rows of the class, or"):
        train_experiment("rare.toml", {"epochs": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = train_experiment("rare.toml", {"epochs": 1}, quiet=True)
        told = CliRunner().invoke(evaluate, [str(run.path)])
    assert told.exit_code == 0, told.exception
    assert "No row is of class rare: these numbers do not show how well it is predicted" in told.output


@pytest.mark.parametrize("columns", [3, 8, 9, 64])
def test_many_columns_of_few_whole_numbers_are_counted_and_not_offered_by_name(columns):
    draw = random.Random(columns)
    names = [f"pixel{place}" for place in range(columns)]
    rows = [",".join([*(str(draw.randrange(9)) for _ in names), draw.choice("ab")]) for _ in range(100)]
    Path("pixels.csv").write_text("\n".join([",".join([*names, "y"]), *rows, ""]))
    told = new("pixels")
    if columns <= 8:
        assert f"perhaps codes: {', '.join(names)}; --categories pixel0 makes a category of each value" in told
    else:
        assert f"Few whole numbers in each of {columns} columns; if one has codes, --categories with its name" in told
        assert "--categories pixel0" not in told
