"""A search over an experiment's settings: what it keeps, how it goes on, what it refuses."""

import json

import pytest
from filelock import FileLock

from mytorch.core import ArgumentError
from mytorch.experiments import (
    ExperimentError,
    RunError,
    UnknownKeyError,
    list_runs,
    load_experiment,
    parse_over,
    search_experiment,
)
from mytorch.experiments.search.search_table import show_search, trial_line
from mytorch.plugins import MissingRequirementError

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

EXPERIMENT = {
    "name": "small",
    "epochs": 4,
    "batch_size": 20,
    "metrics": ["Accuracy"],
    "data": {"train": {"type": "Disk", "samples": 100}, "split": {"validation": 0.2, "test": 0.2}},
    "model": {"type": "Sequential", "layers": [{"type": "Linear", "in_features": 2, "out_features": 2}]},
    "loss": {"type": "CrossEntropyLoss"},
    "optimizer": {"type": "SGD", "lr": 0.01},
}
RATES = dict([parse_over("optimizer.lr=log:1e-4..1.0")])


def test_a_search_keeps_its_runs_and_the_best_as_an_experiment(tmp_path):
    told = []
    found = search_experiment(
        EXPERIMENT, RATES, trials=6, output=tmp_path, tell=lambda found, trial: told.append(trial)
    )
    assert found.path == tmp_path / "small-search"
    assert told == found.trials
    assert found.trials[0].settings == {"optimizer.lr": 0.01}  # as it stands
    values = [trial.value for trial in found.trials if trial.state == "complete"]
    assert found.best.value == min(values)
    assert load_experiment(found.path / "best.toml").optimizer.arguments["lr"] == found.best.settings["optimizer.lr"]
    runs = {run.path.name: run for run in list_runs(found.path)}
    assert set(runs) == {trial.run for trial in found.trials}
    record = json.loads((found.path / found.best.run / "summary.json").read_text())["last"]
    assert record["validation_loss"] == found.best.value


def test_a_metric_that_is_better_high_is_made_high(tmp_path):
    found = search_experiment(
        EXPERIMENT, RATES, trials=4, monitor="validation_accuracy", output=tmp_path, pruning=False
    )
    assert found.best.value == max(trial.value for trial in found.trials)


def test_a_search_goes_on_where_it_was_interrupted(tmp_path):
    def interrupt(found, trial):
        if trial.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        search_experiment(EXPERIMENT, RATES, trials=5, output=tmp_path, tell=interrupt)
    assert interrupted.value.__notes__ == [
        f"The search keeps 2 trials that ended in {tmp_path / 'small-search'}; "
        "run the same command again to continue it"
    ]
    found = search_experiment(EXPERIMENT, RATES, trials=2, output=tmp_path)
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]


def test_a_trial_whose_process_was_killed_counts_as_failed(tmp_path):
    found = search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)
    journal = optuna.storages.journal.JournalFileBackend(str(found.path / "trials.log"))
    optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(journal)).ask()
    found = search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)
    assert [trial.state for trial in found.trials] == ["complete", "failed", "complete"]
    assert found.trials[1].reason == "its process ended"


def test_hopeless_trials_are_ended_early(tmp_path):
    rates = dict([parse_over("optimizer.lr=0.1,0.2,0.3,1e-5,2e-5,3e-5,4e-5,5e-5,6e-5,7e-5,1e-4,2e-4,3e-4,4e-4")])
    experiment = {**EXPERIMENT, "epochs": 12}
    found = search_experiment(experiment, rates, trials=14, output=tmp_path)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.settings["optimizer.lr"] < 0.1 for trial in pruned)
    for trial in pruned:
        assert json.loads((found.path / trial.run / "summary.json").read_text())["epochs"] < 12


def test_several_keys_get_one_value(tmp_path):
    layers = [
        {"type": "Linear", "in_features": 2, "out_features": 4},
        {"type": "Linear", "in_features": 4, "out_features": 2},
    ]
    experiment = {**EXPERIMENT, "model": {"type": "Sequential", "layers": layers}}
    over = dict([parse_over("model.layers.0.out_features,model.layers.1.in_features=3,4,5")])
    found = search_experiment(experiment, over, trials=4, output=tmp_path)
    assert found.trials[0].settings == {"model.layers.0.out_features": 4, "model.layers.1.in_features": 4}
    assert not [trial for trial in found.trials if trial.state == "failed"]


def test_a_trial_that_fails_is_told_and_the_search_goes_on(tmp_path):
    experiment = {**EXPERIMENT, "optimizer": {"type": "SGD", "lr": 0.1}}
    found = search_experiment(
        experiment, dict([parse_over("optimizer.momentum=0.5,2.5e39,0.9")]), trials=6, output=tmp_path
    )
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert found.best is not None
    assert all(trial.settings["optimizer.momentum"] == 2.5e39 and trial.reason for trial in failed)
    assert failed


def test_a_search_in_which_everything_fails_ends_with_the_reason(tmp_path):
    over = dict([parse_over("model.layers.0.in_features=3,4,5")])
    with pytest.raises(ExperimentError, match="a trial must be trained to the end, got 3 that failed; the last, with"):
        search_experiment(EXPERIMENT, over, trials=20, output=tmp_path)


def test_the_table_and_the_lines_tell_what_was_found(tmp_path, capsys):
    found = search_experiment(EXPERIMENT, RATES, trials=2, output=tmp_path)
    assert "trial 0: validation loss" in trial_line(found, found.trials[0])
    show_search(found)
    shown = capsys.readouterr().out
    assert "optimizer.lr" in shown
    assert "2 trials: 2 complete" in shown
    del found.trials[1]
    show_search(found)
    assert "\n1 trial: 1 complete\n" in capsys.readouterr().out
    assert f"The best as an experiment: {found.path / 'best.toml'}" in shown


@pytest.mark.parametrize("text", ["batch_size=10..14", "batch_size=log:10..14", "batch_size=10,11,12,13,14"])
def test_no_combination_is_tried_twice_and_a_search_ends_when_all_were(tmp_path, text, capsys):
    over = dict([parse_over(text), parse_over("optimizer.momentum=0.0,0.5")])
    first = search_experiment({**EXPERIMENT, "epochs": 1}, over, trials=6, output=tmp_path)
    assert (len(first.trials), first.combinations, first.exhausted) == (6, 10, False)
    found = search_experiment({**EXPERIMENT, "epochs": 1}, over, trials=9, output=tmp_path)
    tried = [(trial.settings["batch_size"], trial.settings["optimizer.momentum"]) for trial in found.trials]
    assert sorted(tried) == [(size, momentum) for size in range(10, 15) for momentum in (0.0, 0.5)]
    assert found.exhausted
    show_search(found)
    assert "Every combination of settings was tried; widen --over to try others" in capsys.readouterr().out
    assert search_experiment({**EXPERIMENT, "epochs": 1}, over, trials=1, output=tmp_path).trials == found.trials


def test_what_was_cut_short_is_tried_again_and_what_failed_is_not(tmp_path):
    over = dict([parse_over("optimizer.lr=0.1,0.2,0.3")])
    found = search_experiment(EXPERIMENT, over, trials=1, output=tmp_path)
    journal = optuna.storages.journal.JournalFileBackend(str(found.path / "trials.log"))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(journal))
    study.ask({"optimizer.lr": optuna.distributions.CategoricalDistribution(["0.1", "0.2", "0.3"])})
    found = search_experiment(EXPERIMENT, over, trials=9, output=tmp_path)
    assert sorted(one.settings["optimizer.lr"] for one in found.trials if one.state != "failed") == [0.1, 0.2, 0.3]
    assert [one.state for one in found.trials].count("failed") == 1


def test_where_all_fails_the_last_is_told_though_there_are_few(tmp_path):
    over = dict([parse_over("model.layers.0.in_features=3,4")])
    with pytest.raises(ExperimentError, match="a trial must be trained to the end, got 2 that failed; the last, with"):
        search_experiment(EXPERIMENT, over, trials=20, output=tmp_path)


# Bad input


def test_another_search_in_the_folder_is_refused(tmp_path):
    search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)
    with pytest.raises(ExperimentError, match="got another over; search in another folder"):
        search_experiment(EXPERIMENT, dict([parse_over("optimizer.lr=0.1,0.2")]), trials=1, output=tmp_path)
    with pytest.raises(ExperimentError, match="got another experiment and monitor"):
        search_experiment({**EXPERIMENT, "seed": 1}, RATES, trials=1, output=tmp_path, monitor="train_loss")


@pytest.mark.parametrize(
    "over", [None, 3, {"optimizer.lr": [1, 2]}, {("optimizer.lr",): 3}, {(): RATES}, "optimizer.lr=1,2"]
)
def test_what_says_of_no_key_what_is_tried_is_refused(tmp_path, over):
    with pytest.raises(ArgumentError, match=r"search: over must have a Range or Choice .*; write dict\(\[parse_over"):
        search_experiment(EXPERIMENT, over, trials=1, output=tmp_path)


def test_another_process_in_the_folder_is_refused(tmp_path):
    found = search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)
    with FileLock(found.path / "search.lock"), pytest.raises(RunError, match="searched by one process at a time"):
        search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)


def test_what_is_wrong_with_the_experiment_is_said_before_the_first_trial(tmp_path):
    with pytest.raises(ExperimentError, match=r"optimizer\.lrr"):
        search_experiment({**EXPERIMENT, "optimizer": {"type": "SGD", "lrr": 0.1}}, RATES, trials=1, output=tmp_path)
    with pytest.raises(ArgumentError, match=r"monitor must be one of train_loss, .*got 'validation_los'"):
        search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path, monitor="validation_los")
    with pytest.raises(ArgumentError, match="trials must be a whole number of at least 1, got 0"):
        search_experiment(EXPERIMENT, RATES, trials=0, output=tmp_path)
    with pytest.raises(ArgumentError, match=r"^search_experiment: output must be a path, got 3"):
        search_experiment(EXPERIMENT, RATES, trials=1, output=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("optimizer.lrr=log:1e-3..1e-1", r"optimizer\.lrr: SGD has no argument 'lrr'. Nearest: lr"),
        ("optimizr.lr=0.1,0.2", "optimizr: "),
        ("epoch=1,2", "epoch: "),
        ("model.layers.0.out_feature=3,4,5", r"model\.layers\.0\.out_feature: Linear has no argument"),
        ("model.layers.9.out_features=3,4,5", r"model\.layers\.9\.out_features: index must be a number below"),
        ("epochs.number=3,4,5", r"epochs\.number: epochs must be a table or list, got"),
    ],
)
def test_a_key_that_nothing_has_is_refused_before_the_folder_is_made(tmp_path, text, name):
    over = {**RATES, **dict([parse_over(text)])}
    with pytest.raises(UnknownKeyError, match=rf"^--over: every key must be one that the experiment .*; .*{name}"):
        search_experiment(EXPERIMENT, over, trials=1, output=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_key_that_the_file_leaves_out_is_tried(tmp_path):
    over = dict([parse_over("optimizer.weight_decay=0.0..0.1"), parse_over("loss.reduction=nonsense,sum")])
    found = search_experiment(EXPERIMENT, over, trials=1, output=tmp_path)
    assert found.trials[0].settings.keys() == {"optimizer.weight_decay", "loss.reduction"}


def test_optuna_that_is_missing_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(
        MissingRequirementError, match=r"optuna is not installed. Install: .*mytorch-experiments\[search\]"
    ):
        search_experiment(EXPERIMENT, RATES, trials=1, output=tmp_path)


def test_settings_of_a_learning_rule_are_drawn(tmp_path):
    content = {**EXPERIMENT, "rule": {"type": "ZerothOrder"}}
    space = dict([parse_over("rule.epsilon=log:1e-4..1e-1")])
    found = search_experiment(content, space, trials=3, output=tmp_path)
    drawn = [trial.settings["rule.epsilon"] for trial in found.trials]
    assert len(set(drawn)) == 3
    for trial in found.trials:
        rule = load_experiment(found.path / trial.run / "experiment.toml").rule
        assert (rule.type, rule.arguments["epsilon"]) == ("ZerothOrder", trial.settings["rule.epsilon"])
