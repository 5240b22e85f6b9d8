"""The figure of a pipeline, and its keys in experiment files."""

import pytest

from mytorch.experiments import ExperimentError, load_experiment
from mytorch.experiments.figures.pipeline_figure import draw_pipeline

TIMES = [
    [["forward", 0, 0.0, 0.001], ["backward", 0, 0.003, 0.004]],
    [["forward", 0, 0.001, 0.002], ["backward", 0, 0.002, 0.003]],
]


@pytest.fixture
def blank_figures():
    """The figure is drawn."""


@pytest.mark.parametrize("times", [TIMES, [[], []]])
def test_a_figure_is_drawn_also_of_a_step_without_rows(tmp_path, times):
    path = draw_pipeline({"layers": [1, 2], "bubble": 0.5, "times": times}, tmp_path / "pipeline.png", "a run")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("stages", ["x", 0, [], [1, 0], 2.5])
def test_stages_that_are_none_are_refused_with_their_key(stages):
    with pytest.raises(ExperimentError, match="stages: must be a whole number of at least 1, or a list of the layers"):
        load_experiment("disk", {"stages": stages})
    assert load_experiment("disk", {"stages": [1, 2]}).stages == [1, 2]
