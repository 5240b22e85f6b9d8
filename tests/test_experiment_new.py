"""From a user's file to an experiment that runs as it is."""

import random
import shlex
import tomllib

import pytest
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.evaluate import evaluate
from mytorch.commands.experiment import experiment
from mytorch.commands.train import train
from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.file.build import build_data
from mytorch.experiments.new import images_experiment as of_images
from mytorch.experiments.new import new_experiment as a_table
from mytorch.experiments.new import sequences_experiment as of_sequences
from mytorch.experiments.new import text_experiment as a_text
from mytorch.experiments.new.images_experiment import new_images_experiment
from mytorch.experiments.new.new_experiment import new_experiment
from mytorch.experiments.new.sequences_experiment import new_sequences_experiment
from mytorch.experiments.new.text_experiment import new_text_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import FileError

pytest.importorskip("pyarrow", reason="pyarrow comes with mytorch-data[tables]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, header, rows, delimiter=","):
    lines = [header, *rows]
    path.write_text("".join(delimiter.join(map(str, line)) + "\n" for line in lines), encoding="utf-8")


def flowers(path, rows=90):
    draw = random.Random(0)
    kinds = [("small", 1.0), ("middle", 3.0), ("large", 5.0)]
    write(
        path,
        ["length", "width", "kind"],
        [(draw.gauss(kinds[i % 3][1], 0.4), draw.gauss(0, 1), kinds[i % 3][0]) for i in range(rows)],
    )


def houses(path, rows=120):
    """Everything at once: text, missing cells, a date, a name, the number of the row, and a target in large units."""
    draw = random.Random(0)
    header = ["number", "name", "sold", "area", "town", "garden", "empty", "price"]
    lines = []
    for i in range(rows):
        area, town = draw.uniform(40, 200), draw.choice(["Köln", "Bonn", '"Ulm"'])
        price = 5e5 + 3000 * area + 1e5 * (town == "Bonn") + draw.gauss(0, 1e4)
        known = "" if i % 11 == 3 else area
        day = f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}"
        lines.append([i + 1, f"house {i}", day, known, town.strip('"'), i % 2 == 0, "", price])
    write(path, header, lines)


TESTED = {"data.split.test": 0.15}
"""A test part for a table that is too small to be given one."""


def test_the_three_parts_have_their_share_of_every_class(folder):
    flowers(folder / "flowers.csv", rows=600)
    _, path = new_experiment("flowers.csv", "kind")
    parts = build_data(load_experiment(path))
    assert [len(part) for part in parts] == [420, 90, 90]
    for part in parts:
        shares = [float((part.targets == place).sum()) / len(part) for place in range(3)]
        assert shares == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize("same", [7, 0.5, "Bonn", "true", "2024-05-31"])
def test_a_column_with_one_value_is_left_out(folder, same):
    draw = random.Random(0)
    rows = [(same, same if row % 9 else "", draw.gauss(0, 1), "ab"[row % 2]) for row in range(60)]
    write(folder / "same.csv", ["city", "gap", "a", "y"], rows)
    look, _ = new_experiment("same.csv", "y", dates=True)
    told = "the same value in every row"
    assert (look.features, dict(look.left_out)) == (("a",), {"city": told, "gap": f"{told} that has one"})
    write(folder / "same.csv", ["city", "y"], [(city, y) for city, *_, y in rows])
    with pytest.raises(ExperimentError, match=r"to learn 'y' from, got city \(the same value in every row\)$"):
        new_experiment("same.csv", "y", force=True, dates=True)


def test_few_rows_are_judged_by_folds(folder):
    flowers(folder / "flowers.csv")
    result = CliRunner().invoke(experiment, ["new", "flowers.csv", "--target", "kind"])
    command = "mytorch train flowers.toml --folds 5"
    assert result.stdout.splitlines()[-1] == f"Next: {command}"
    assert (
        f"# Check: mytorch experiment check flowers.toml    Train: {command}\n"
        in (folder / "flowers.toml").read_text()
    )
    parts = build_data(load_experiment("flowers.toml"))
    assert (len(parts.training), len(parts.validation), parts.test) == (76, 14, None)
    result = CliRunner().invoke(train, [*shlex.split(command)[2:], "--quiet", "--set", "epochs=2"])
    assert result.exit_code == 0, result.exception
    tested = [run.parent.parent for run in folder.glob("runs/*/fold-*/summary.json")]
    assert len(tested) == 5


@pytest.mark.parametrize("rows", [60, 1200])
def test_the_epoch_with_the_least_validation_loss_is_kept_of_many_rows(folder, rows):
    draw = random.Random(0)
    write(folder / "noise.csv", ["a", "b", "y"], [[draw.gauss(0, 1) for _ in range(3)] for _ in range(rows)])
    _, path = new_experiment("noise.csv", "y")
    run = train_experiment(path, quiet=True)
    losses = {record["epoch"]: record["validation_loss"] for record in run.history if "validation_loss" in record}
    assert min(losses, key=losses.get) < max(losses)  # later epochs memorise noise
    best = run.summary.get("best", {}).get("epoch")
    assert best == (None if rows < 1000 else min(losses, key=losses.get))


def test_classes_and_columns_with_signs_that_begin_formulas(folder):
    draw, names = random.Random(0), ("$10-$20", "$10_to_$20", r"under \$10^2", "日本")
    rows = [(draw.gauss(i % 4, 0.3), draw.gauss(0, 1), names[i % 4]) for i in range(80)]
    write(folder / "prices.csv", ["$x_1", "y^2", "class"], rows)
    _, path = new_experiment("prices.csv", "class")
    run = train_experiment(path, {"epochs": 3}, quiet=True)
    assert run.summary["status"] == "finished"
    assert (run.path / "figures/decision_boundary.png").is_file()
    result = CliRunner().invoke(evaluate, [str(run.path)])
    assert result.exit_code == 0, result.exception
    assert result.output.splitlines()[-1].startswith("Drew confusion.png, calibration.png in ")


def test_classes(folder):
    flowers(folder / "flowers.csv")
    look, path = new_experiment("flowers.csv", "kind")
    assert (look.task, look.classes, look.features) == (
        "classification",
        ("large", "middle", "small"),
        ("length", "width"),
    )
    assert str(path) == "flowers.toml"
    assert "classes large, middle, small" in check_experiment(path)
    run = train_experiment(path, TESTED, quiet=True)
    assert run.summary["test"]["accuracy"] > 0.95


def test_numbers_from_columns_of_all_kinds(folder):
    houses(folder / "houses.csv")
    look, path = new_experiment("houses.csv", "price")
    assert look.features == ("area", "town", "garden")
    assert {name: reason.split(";")[0] for name, reason in look.left_out.items()} == {
        "number": "the number of the row",
        "name": "text that differs in nearly every row",
        "sold": "dates",
        "empty": "no value in any row",
    }
    assert (look.text, look.incomplete, look.missing, look.width) == (("town",), ("area",), "mean", 5)
    text = path.read_text()
    assert "# Left out: sold: dates; --dates uses their year" in text
    assert "# A column of 0 and 1 for each value of town." in text
    run = train_experiment(path, TESTED, quiet=True)
    last = run.summary["test"]
    assert last["r2"] > 0.75
    assert last["mean_absolute_error"] > 1000  # in units
    assert last["loss"] < 1  # in deviations
    assert {"table", "standardize", "standardize_targets"} <= set(run.data["preparation"])


def test_rows_without_a_target_are_left_out(folder):
    write(folder / "t.csv", ["x", "y"], [(i % 7 + 0.5, "" if i % 5 == 0 else i * 0.37) for i in range(50)])
    look, path = new_experiment("t.csv", "y")
    assert (look.rows, look.missing) == (40, "drop")
    assert "34 rows and 6 for validation" in check_experiment(path)


def test_a_table_elsewhere_is_found_from_the_file(folder):
    (folder / "data").mkdir()
    (folder / "mine").mkdir()
    flowers(folder / "data" / "flowers.csv")
    _, path = new_experiment("data/flowers.csv", "kind", "mine/first.toml")
    assert tomllib.loads(path.read_text())["data"]["train"]["path"] == "../data/flowers.csv"
    check_experiment(path)
    _, path = new_experiment(folder / "data" / "flowers.csv", "kind", "second.toml")
    assert tomllib.loads(path.read_text())["data"]["train"]["path"] == str(folder / "data" / "flowers.csv")


def test_how_the_table_is_read_stands_in_the_file(folder):
    rows = [(f"{i},5", "groß" if i % 2 else "klein") for i in range(40)]
    lines = ["länge;art", *(";".join(row) for row in rows)]
    (folder / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    reading = {"delimiter": ";", "decimal": ",", "encoding": "latin-1"}
    look, path = new_experiment("t.csv", "art", reading=reading)
    assert look.classes == ("groß", "klein")
    assert reading.items() <= load_experiment(path).data.train.arguments.items()
    check_experiment(path)


def test_names_that_no_comment_may_hold(folder):
    header = ['"a ""b"" \\"', '"c\rd"', '"=[#]"', "k"]
    write(folder / "odd.csv", header, [(i * 0.3, "", f"n{i}", "xy"[i % 2]) for i in range(40)])
    look, path = new_experiment("odd.csv", "k")
    assert load_experiment(path).data.train.arguments["features"] == list(look.features) == ['a "b" \\']
    check_experiment(path)


def test_the_task_may_be_chosen(folder):
    write(folder / "t.csv", ["x", "stars"], [(i * 0.37 % 3, i % 5) for i in range(60)])
    assert new_experiment("t.csv", "stars", "a.toml")[0].task == "classification"
    look, path = new_experiment("t.csv", "stars", "b.toml", task="regression")
    assert look.task == "regression"
    check_experiment(path)


def test_a_usual_name_is_taken_for_the_target(folder):
    write(folder / "t.csv", ["x", "Class"], [(i * 0.37 % 3, "xy"[i % 2]) for i in range(60)])
    assert new_experiment("t.csv")[0].target == "Class"


@pytest.mark.parametrize(
    ("name", "text", "target", "told"),
    [
        ("empty.csv", "", "x", "must have a line of column names and rows below it, got an empty file"),
        ("header.csv", "a,b\n", "a", "must have at least one row below the column names, got none"),
        ("t.csv", "a,kind\n" + "1.5,x\n" * 20, "kidn", "--target must be a column, got 'kidn'. Nearest: kind."),
        ("t.csv", "a,kind\n" + "1.5,x\n" * 20, None, "must be named with --target, got none. Columns: a, kind"),
        (
            "t.csv",
            "a,kind\n" + "1.5,x\n2,x\n" * 20,
            "kind",
            "got 'x' in every row of 'kind'; there is nothing to learn",
        ),
        ("t.csv", "a,b\n" + "1.5,7\n2,7\n" * 20, "b", "different numbers, got '7' in every row of 'b'"),
        ("t.csv", "a,b\n" + "1.5,\n2,\n" * 20, "b", "got no value at all of 'b'"),
        (
            "t.csv",
            "a,b\n" + "1.5,2024-01-02\n2,2024-02-03\n" * 20,
            "b",
            "must be classes or numbers, got dates in 'b'",
        ),
        ("t.csv", "a,b\n" + "1.5,x\n2,y\n" * 3, "b", "must have at least 10 rows with a value of 'b', got 6"),
        ("t.csv", "b\n" + "x\ny\n" * 20, "b", "must have a column to learn 'b' from, got no other"),
        ("t.csv", "a,b\n" + "2024-01-02,x\n2024-01-02,y\n" * 20, "b", "to learn 'b' from, got a (dates; --dates uses"),
        (
            "t.csv",
            "a,b\n" + "".join(f"{i % 7}.5,n{i}\n" for i in range(30)),
            "b",
            "must have classes that come again, got 30",
        ),
        ("t.csv", "a,b\n" + "1e308,x\n2,y\n" * 20, "b", "row 2, column 'a' must be at most 3.4e+38 in float32"),
        ("t.csv", ",".join(f"c{i}" for i in range(10_001)) + "\n" + ",".join("1" * 10_001), "c0", "at most 10000"),
        ("t.csv", "a,a\n1,2\n", "a", "columns must have different names, got 'a'"),
        ("gone.csv", None, "a", "gone.csv: must be a file, got no such file"),
    ],
)
def test_bad_input_is_told_in_a_line_and_nothing_is_written(folder, name, text, target, told):
    if text is not None:
        (folder / name).write_text(text)
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(experiment, ["new", name, *(["--target", target] if target else [])])
    assert result.exit_code == 1
    assert told in str(result.exception)
    assert "\n" not in str(result.exception)
    assert sorted(folder.iterdir()) == before


def test_what_exists_is_kept_unless_forced(folder):
    flowers(folder / "flowers.csv")
    (folder / "flowers.toml").write_text("mine")
    with pytest.raises(FileError, match=r"flowers.toml: must be a new file, got one that exists; choose"):
        new_experiment("flowers.csv", "kind")
    assert (folder / "flowers.toml").read_text() == "mine"
    new_experiment("flowers.csv", "kind", force=True)
    check_experiment("flowers.toml")


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("x.txt", "x.txt: name must end in .toml, got .txt"),
        ("gone/x.toml", "gone/x.toml: its folder must exist; create it with: mkdir -p gone"),
        ("folder.toml", "folder.toml: must be a file, got a folder"),
    ],
)
def test_where_no_experiment_can_be_written(folder, output, told):
    flowers(folder / "flowers.csv")
    (folder / "folder.toml").mkdir()
    with pytest.raises(FileError, match=told):
        new_experiment("flowers.csv", "kind", output, force=True)


def test_what_the_command_prints(folder):
    houses(folder / "houses.csv")
    result = CliRunner().invoke(experiment, ["new", "houses.csv", "--target", "price"])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "houses.csv: 120 rows, regression of price: numbers",
        "3 columns to learn from: area, town, garden",
        "Categories, one-hot: town",
        "Missing cells: filled with the mean of the training rows",
        "  area: 11 of 120 rows (empty in 11)",
        "Left out: number: the number of the row",
        "Left out: name: text that differs in nearly every row",
        "Left out: sold: dates; --dates uses their year, month, weekday and the days since the first",
        "Left out: empty: no value in any row",
        "Few rows, so no test part: --folds 5 does cross-validation, which tests on each row once",
        "Wrote houses.toml",
        "Next: mytorch train houses.toml --folds 5",
    ]


def walks(path):
    rows = [(who, day, who % 2 + day, "ab"[who % 2]) for who in range(60) for day in range(3)]
    write(path, ["who", "day", "x", "kind"], rows)


def pictures(path):
    for number in range(60):
        image = path / "ab"[number % 2] / f"{number}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 9, 0)).save(image)


def sea(path):
    path.write_text("she sells sea shells\n" * 90)


@pytest.mark.parametrize(
    ("make", "module", "reads", "write_new", "arguments"),
    [
        (flowers, a_table, "look_at", new_experiment, ("kind",)),
        (walks, of_sequences, "look_at_sequences", new_sequences_experiment, ("who", "day", "kind")),
        (sea, a_text, "TextFile", new_text_experiment, ()),
        (pictures, of_images, "look_at_images", new_images_experiment, ()),
    ],
    ids=["table", "sequences", "text", "images"],
)
def test_a_file_that_comes_while_the_data_are_read_is_kept(
    folder, monkeypatch, make, module, reads, write_new, arguments
):
    make(folder / "data.csv")
    read = getattr(module, reads)

    def reading(*given, **options):
        (folder / "x.toml").write_text("mine")
        return read(*given, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, reads, reading)
        with pytest.raises(FileError, match=r"x.toml: must be a new file, got one that exists; choose"):
            write_new(folder / "data.csv", *arguments, "x.toml")
    assert (folder / "x.toml").read_text() == "mine"
    (folder / "x.toml").unlink()
    assert write_new(folder / "data.csv", *arguments, "x.toml")[1].is_file()
