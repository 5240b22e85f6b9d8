"""A text, from an experiment to a language model that is better than counting pairs of characters."""

import json
import random

import pytest
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.experiment import experiment
from mytorch.commands.sample import sample as command
from mytorch.core import ArgumentError, MytorchError
from mytorch.data import TableError
from mytorch.experiments import ExperimentError, load_experiment, sample, train_experiment
from mytorch.experiments.parity import compare
from mytorch.experiments.runs.run import judge
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import FileError

NAMES = ("text-gpt", "text-lstm")
NOUNS = {
    "dog": "dogs",
    "cat": "cats",
    "bird": "birds",
    "child": "children",
    "sailor": "sailors",
    "teacher": "teachers",
}
VERBS = ("sees", "see"), ("hears", "hear"), ("follows", "follow"), ("paints", "paint")


def sentences(count, seed=0):
    """Sentences whose verb agrees with its subject, also where a relative clause stands between them."""
    draw = random.Random(seed)

    def noun():
        one, many = draw.choice(sorted(NOUNS.items()))
        plural = draw.random() < 0.5
        return f"the {draw.choice(['', '', 'small ', 'old ', 'quiet '])}{many if plural else one}", plural

    def line():
        subject, plural = noun()
        if draw.random() < 0.4:
            subject += f" that {draw.choice(VERBS)[plural]} {noun()[0]}"
        return f"{subject} {draw.choice(VERBS)[plural]} {noun()[0]}.\n"

    return "".join(line() for _ in range(count))


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(sentences(250))
    return tmp_path / "text.txt"


def small(text, **changes):
    """An experiment that learns a text quickly."""
    return load_experiment("text-lstm", {"data.train.path": str(text), "data.train.block_size": 16, **changes})


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_as_it_is_told(name, tmp_path):
    """Slow: the perplexity that docs/data-sets.md tells, beside that of a bigram model."""
    (tmp_path / "text.txt").write_text(sentences(1800))
    run = train_experiment(name, {"data.train.path": str(tmp_path / "text.txt")}, output=tmp_path, quiet=True)
    result = CliRunner().invoke(evaluate, [str(run.path), "--json"])
    told = json.loads(result.output)
    assert 1.2 < told["perplexity"] < 1.42
    assert 3.3 < told["baselines"]["bigram model"]["perplexity"] < 3.7


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_takes_the_same_steps(name, text):
    found = compare(load_experiment(name, {"epochs": 1, "data.train.path": str(text)}), runs=1)
    assert found.passed
    assert found.seeds[0].epoch_gap <= 1e-10


def test_a_run_judges_other_texts_by_its_own_vocabulary(text, tmp_path):
    run = train_experiment(small(text, epochs=3), output=tmp_path / "runs", quiet=True)
    assert run.experiment.model.arguments["layers"][0]["num_embeddings"] == len(set(sentences(250)))
    (tmp_path / "new.txt").write_text(sentences(100, seed=1))
    new, own = run.evaluate(tmp_path / "new.txt"), run.evaluate()
    assert new["perplexity"] == pytest.approx(own["perplexity"], rel=0.1)
    (tmp_path / "utf16.txt").write_text(sentences(100, seed=1), encoding="utf-16")
    result = CliRunner().invoke(
        evaluate, [str(run.path), "--data", str(tmp_path / "utf16.txt"), "--encoding", "utf-16"]
    )
    assert f"{new['perplexity']:.6g}" in result.output
    (tmp_path / "strange.txt").write_text("the cat paints 2 dogs.\n" * 9)
    with pytest.raises(
        TableError, match=r"strange.txt: characters must be among the 23 .*, got 1 that is not: '2' 9 t"
    ):
        run.evaluate(tmp_path / "strange.txt")
    with pytest.raises(MytorchError, match="delimiter must be left out for a text, which is no table"):
        CliRunner().invoke(evaluate, [str(run.path), "--data", str(text), "--delimiter", ";"], catch_exceptions=False)


def test_a_run_writes_text(text, tmp_path):
    run = train_experiment(small(text, epochs=3), output=tmp_path / "runs", quiet=True)
    arguments = [str(run.path), "--prompt", "the old ", "--length", "60", "--temperature", "0.5", "--top-k", "5"]
    result = CliRunner().invoke(command, [*arguments, "--seed", "3"], catch_exceptions=False)
    assert result.output == sample(run, "the old ", 60, temperature=0.5, top_k=5, seed=3) + "\n"
    assert len(result.output) == 8 + 60 + 1
    assert set(result.output.split()) & {"the", "sees", "see", "cat.", "dogs.", "bird"}
    with pytest.raises(ArgumentError, match="got 1 that is not: '8' once"):
        CliRunner().invoke(command, [str(run.path), "--prompt", "8"], catch_exceptions=False)
    for wrong in (["--length", "0"], ["--top-k", "0"], ["--temperature", "-1"], ["--seed", "-1"]):
        assert "Invalid value" in CliRunner().invoke(command, [*arguments, *wrong]).output


def test_validation_and_test_texts_have_the_tokens_of_the_training_text(text, tmp_path):
    (tmp_path / "other.txt").write_text(sentences(40, seed=2).replace("child", "2"))
    changes = {
        "data.split": {"test": 0.2},
        "data.validation": {"type": "TextFile", "path": str(tmp_path / "other.txt")},
    }
    with pytest.raises(
        ExperimentError, match="characters must be among the 23 of the text of the training, got 1 that"
    ):
        check_experiment(small(text).model_dump(exclude_none=True, by_alias=True), changes)
    (tmp_path / "other.txt").write_text(sentences(40, seed=2))
    told = check_experiment(small(text).model_dump(exclude_none=True, by_alias=True), changes)
    assert ", classes '\\n', ' ', ., a, b and 18 more, " in told


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments):
    return CliRunner().invoke(experiment, ["new", *arguments], catch_exceptions=False)


@pytest.mark.parametrize(("name", "encoding"), [("my 'text'.md", "utf-8"), ("text.txt", "utf-16")])
def test_a_new_experiment_of_a_text_runs_as_it_is(folder, name, encoding):
    (folder / name).write_text(sentences(40), encoding=encoding)
    result = new(name, "--output", "my.toml", *(["--encoding", encoding] if encoding != "utf-8" else []))
    assert result.output == (
        f"{name}: a text of {len(sentences(40))} characters, {len(set(sentences(40)))} different ones\n"
        "Wrote my.toml\nNext: mytorch train my.toml\n"
    )
    assert " for validation and 4 for the test, classes '\\n', ' ', ., a, b and 18 more, " in check_experiment(
        "my.toml"
    )
    assert all(len(line) <= 120 for line in (folder / "my.toml").read_text().splitlines())
    run = train_experiment("my.toml", {"epochs": 2}, quiet=True)
    assert run.evaluate()["perplexity"] < 23


def test_a_new_experiment_learns_more_than_pairs_of_characters(folder):
    """Slow: a text of 20,000 characters."""
    (folder / "text.txt").write_text(sentences(460))
    new("text.txt")
    judgement = judge(train_experiment("text.toml", quiet=True), beside=True)
    assert judgement.results["perplexity"] < 0.5 * judgement.baselines["bigram model"]["perplexity"]


def test_a_table_in_a_txt_file_is_no_text(folder):
    (folder / "table.txt").write_text("x,y\n" + "".join(f"{at % 7},{'ab'[at % 2]}\n" for at in range(60)))
    assert "classification of y: 2 classes (a, b)" in new("table.txt").output
    (folder / "lines.txt").write_text("y\n" + "a\nb\n" * 120)
    assert "a text of" in new("lines.txt", "--output", "text.toml").output
    with pytest.raises(MytorchError, match=r"lines\.txt"):
        new("lines.txt", "--target", "y")
    (folder / "book.md").write_text(sentences(40))
    told = new("book.md", "--target", "y").output
    assert "--target is an option of other sources; book.md is read as a text, without it" in told


def test_a_text_that_is_too_short_and_a_file_that_exists_are_told(folder):
    (folder / "short.md").write_text("x" * 399)
    with pytest.raises(
        ExperimentError, match=r"short.md: a text must have at least 400 characters to train, .*, got 399"
    ):
        new("short.md")
    assert not (folder / "short.toml").exists()
    (folder / "book.md").write_bytes("Prüfung ".encode("cp1252") * 99)
    with pytest.raises(TableError, match='encoding = "cp1252"'):
        new("book.md")
    new("book.md", "--encoding", "cp1252")
    assert 'encoding = "cp1252"' in (folder / "book.toml").read_text()
    with pytest.raises(FileError, match=r"book\.toml"):
        new("book.md", "--encoding", "cp1252")


def test_without_a_text_the_option_that_names_it_is_told():
    text = r"data\.train\.path: must be given for TextFile, in the file or with --set data\.train\.path=VALUE"
    with pytest.raises(ExperimentError, match=text):
        check_experiment("text-gpt")
