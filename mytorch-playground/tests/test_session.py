"""A session does what the page asks for, and trains as `mytorch train` does."""

import playing
import pytest
import torch

from mytorch.experiments import train_experiment
from mytorch.experiments.explain_experiment import explain_experiment
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.nn import Linear

SMALL = {
    "batch_size": 20,
    "data.train.samples": 50,
    "data.validation.samples": 30,
    "data.test.samples": 30,
    "model.layers.0.out_features": 6,
    "model.layers.2.in_features": 6,
}


def small(**overrides):
    return load_experiment("disk", {**SMALL, **overrides}).model_dump(exclude_none=True, by_alias=True)


def test_the_weights_are_those_of_the_command_line(page, tmp_path):
    page.load(content=small())
    page.send("epoch")
    first = page.until("epoch")["record"]
    page.send("batch", count=2)
    page.until("frame", playing=False)
    page.send("explain")  # looking changes nothing
    page.until("explanation")
    page.send("epoch")
    page.until("epoch")
    drawn = page.until("frame", playing=False, epoch=3)
    run = train_experiment(small(), {"epochs": 2}, output=tmp_path, quiet=True)
    weights = page.session._loaded().setup.net.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in run.net.state_dict().items())
    assert first["train_loss"] == run.history[0]["train_loss"]
    assert drawn["tensors"]["weight.0"].tolist() == run.net.state_dict()["0.weight"].tolist()


def test_a_batch_is_one_step_and_the_next_step_is_explained_with_its_numbers(page, tmp_path):
    page.load(content=small())
    page.send("explain")
    told = page.until("explanation")
    file = tmp_path / "small.toml"
    file.write_text(to_toml(load_experiment(small())))
    expected = explain_experiment(file)
    assert told["loss"] == expected.loss
    named = {(step.phase, step.path): step for step in expected.steps}
    for step in told["steps"]:
        for numbers, same in zip(step["gradients"], named[step["phase"], step["path"]].gradients, strict=True):
            assert (numbers["name"], numbers["norm"]) == (same.name, same.norm)
    page.send("batch")
    frame = page.until("frame", step=1)
    assert frame["loss"] == pytest.approx(expected.loss, rel=1e-6)
    assert not frame["playing"]


def test_it_plays_until_it_is_paused(page):
    page.load(content=small())
    page.send("speed", every=2)
    page.send("play")
    page.until("epoch")
    page.send("pause")
    page.until("pace", playing=False)
    at = page.session._step
    page.send("batch")
    assert page.until("frame", playing=False, step=at + 1)["step"] == at + 1


def test_a_page_that_is_slow_gets_the_first_picture_of_what_was_reset(page):
    """The picture before it is seen only after the reset, when nothing is drawn any more."""
    page.load(content=small())
    page.sees = False
    page.send("batch")
    page.until("frame", step=1)
    page.send("reset")
    page.until("experiment")
    page.sees = True
    page.send("seen")
    assert page.until("frame", playing=False)["step"] == 0


def test_a_setting_changes_from_the_next_step_on_until_it_is_reset(page):
    page.load(content=small())
    page.send("set", values={"lr": 0.5})
    assert page.until("experiment")["changed"] == {"lr": 0.5}
    page.send("batch")
    assert page.until("frame", step=1)["lr"] == 0.5
    page.send("reset")
    told = page.until("experiment")
    assert told["changed"] == {}
    assert page.until("frame", step=0)["lr"] == 0.1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"do": "fly"}, "unknown command 'fly'"),
        ({"do": "experiment", "name": "nowhere"}, "nowhere"),
        ({"do": "experiment", "toml": "a = ["}, "TOML"),
        ({"do": "experiment", "content": {"epochs": "many"}}, "epochs"),
        ({"do": "set", "values": {"lr": -1}}, "lr must be"),
        ({"do": "set", "values": {"speed": 1}}, "speed"),
        ({"do": "speed"}, "every"),
        ({"do": "batch", "count": float("inf")}, "infinity"),
        ({"do": "experiment", "name": "disk", "overrides": 5}, "items"),
        ({"do": "table", "file": "t.csv", "text": "a,b\n1,2\n"}, ""),
    ],
)
def test_what_cannot_be_done_is_told_and_the_training_goes_on(page, command, message):
    page.load(content=small())
    page.send(**command)
    assert message in page.until("error")["text"]
    page.send("batch")
    assert page.until("frame", step=1)["step"] == 1


@pytest.mark.parametrize("do", ["reset", "play", "batch", "epoch", "set", "table"])
def test_before_an_experiment_is_loaded_there_is_nothing_to_do(page, do):
    page.send("experiment", name="nowhere")
    page.until("error")
    page.send(do, values={"lr": 1}, file="a.csv", text="a,b")
    assert "no experiment" in page.until("error")["text"]


def test_a_change_that_is_refused_changes_nothing_of_the_training(page, tmp_path):
    layers = [{"type": "Linear", "in_features": 2, "out_features": 6}, {"type": "Dropout"}]
    content = small() | {
        "model": {"type": "Sequential", "layers": [*layers, {**layers[0], "in_features": 6, "out_features": 2}]}
    }
    page.load(content=content)
    page.send("batch")
    page.until("frame", step=1)
    page.send("experiment", content=content, overrides={"optimizer.lr": -1})
    page.until("error")
    wider = {"model.layers.2.out_features": 5}  # which the targets do not fit
    page.send("experiment", content=content, overrides=wider)
    assert "target must have the shape" in page.until("error")["text"]
    page.send("epoch")
    page.until("epoch")
    run = train_experiment(content, {"epochs": 1}, output=tmp_path, quiet=True)
    weights = page.session._loaded().setup.net.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in run.net.state_dict().items())


def test_a_rate_that_a_schedule_sets_is_not_changed_on_the_page(page):
    page.load(content=small() | {"schedule": {"type": "StepLR", "step_size": 5}})
    page.send("set", values={"lr": 0.5})
    assert "schedule sets the learning rate" in page.until("error")["text"]


def test_a_network_that_explodes_says_where(page):
    page.load(content=small(**{"optimizer.lr": 1e20}))
    page.send("play")
    text = page.until("ended")["text"]
    assert "every value must stay finite" in text
    assert "layer" in text or "Linear" in text
    page.send("play")
    assert "has ended" in page.until("error")["text"]
    page.send("reset")
    page.until("experiment")
    assert page.until("frame", step=0)["epoch"] == 1


def test_an_error_of_a_layer_ends_its_training_and_not_the_session(page, monkeypatch):
    page.load(content=small())

    def fail(self, d_y, saved):
        raise IndexError("not mine")

    monkeypatch.setattr(Linear, "backward", fail)
    page.send("batch")
    assert page.until("ended")["text"] == "IndexError: not mine"
    monkeypatch.undo()
    page.send("reset")
    page.until("experiment")
    page.send("batch")
    page.until("frame", step=1)


def test_a_table_is_trained_on_as_it_was_given(page):
    page.load(content=small(**{"data.targets": "one-hot"}))
    rows = [f"{x / 10},{(x * 7 % 10) / 10},{'yes' if x % 2 else 'no'}" for x in range(40)]
    page.send("table", file="../own.csv", text="\n".join(["left,right,answer", *rows]))
    told = page.until("experiment")
    assert told["plane"]["names"] == ["left", "right"]
    assert told["plane"]["labels"] == ["no", "yes"]
    page.send("batch")
    page.until("frame", step=1)


def test_the_file_of_a_table_gives_the_same_weights_beside_it_and_in_another_session(page, tmp_path):
    page.load(content=small())
    text = "left,right,answer\n" + "".join(f"{x / 10},{x * 7 % 10},{'yes' if x % 2 else 'no'}\n" for x in range(40))
    page.send("table", file="own.csv", text=text)
    told = page.until("experiment")
    assert told["table"] == "own.csv"
    page.send(
        "table", file="own.csv", text="left,right,answer\nno,number,yes\n"
    )  # which does not replace the good one
    page.until("error")
    page.send("reset")
    assert page.until("experiment")["toml"] == told["toml"]
    page.send("epoch")
    page.until("epoch")
    weights = page.session._loaded().setup.net.state_dict()
    (tmp_path / "own.csv").write_text(text)
    (tmp_path / "own.toml").write_text(told["toml"])
    run = train_experiment(tmp_path / "own.toml", {"epochs": 1}, output=tmp_path, quiet=True)
    assert all(torch.equal(value, weights[name]) for name, value in run.net.state_dict().items())
    other = playing.Page()
    other.send("experiment", toml=told["toml"])
    assert "got own.csv; open it here, too" in other.until("error")["text"]
    other.send("table", file="own.csv", text=text)
    assert other.until("experiment")["toml"] == told["toml"]
    other.close()
    other = playing.Page()
    assert other.load(toml=told["toml"], table={"file": "own.csv", "text": text})["toml"] == told["toml"]
    other.close()


def test_a_table_of_three_classes_and_three_columns_gets_a_network_that_fits(page):
    page.load(content=small())
    rows = [f"{x},{x * 7 % 10},{x % 4},{'abc'[x % 3]}" for x in range(60)]
    page.send("table", file="own.csv", text="\n".join(["one,two,three,answer", *rows]))
    told = page.until("experiment")
    assert [told["columns"][at]["units"] for at in (0, -1)] == [6, 3]
    page.send("batch")
    page.until("frame", step=1)


def test_a_network_without_a_plane_is_trained_without_its_picture(page):
    told = page.load(name="sine-forecast", overrides={"epochs": 1, "batch_size": 8})
    assert told["plane"] is None
    page.send("batch")
    assert "class" not in page.until("frame", step=1)["tensors"]
