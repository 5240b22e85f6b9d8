"""The page in a browser. It needs Playwright and Chromium, which `tox -e playground` looks for."""

import base64
import re
import shutil
from contextlib import contextmanager

import pytest
import torch
from playing import served

from mytorch.experiments import train_experiment
from mytorch.experiments.explain_experiment import explain_batches, explain_experiment
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.playground.first import first_command
from mytorch.train.explain import page_of

api = pytest.importorskip("playwright.sync_api", reason="tox -e playground installs it")
api.expect.set_options(timeout=30_000)  # on a busy machine
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of a small experiment."""
    small = {
        "data.train.samples": 60,
        "batch_size": 20,
        "model.layers.0.out_features": 4,
        "model.layers.2.in_features": 4,
    }
    file = tmp_path_factory.mktemp("page") / "small.toml"
    file.write_text(to_toml(load_experiment("disk", small)))
    with served(str(file)) as (host, token, _):
        yield f"http://{host}/#token={token}", file


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def quiet_tab(browser, place):
    """A new tab; nothing may be said in its console."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    tab = context.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(place)
    yield tab
    context.close()
    assert said == []


@pytest.fixture
def page(browser, address):
    """A tab, whose first picture is there."""
    with quiet_tab(browser, address[0]) as tab:
        api.expect(tab.locator("#at-lr")).to_have_text("0.1", timeout=60_000)
        yield tab


def pixels(page, selector="#network"):
    """The picture on a canvas."""
    return page.locator(selector).screenshot()


def step(page):
    return page.locator("#at-step")


def test_it_plays_steps_and_resets(page):
    page.click("#batch")
    api.expect(step(page)).to_have_text("1")
    page.click("#epoch")
    api.expect(step(page)).to_have_text("3")
    api.expect(page.locator("#history tbody tr")).to_have_count(1)
    page.click("#play")
    api.expect(page.locator("#history tbody tr")).to_have_count(4, timeout=30_000)
    api.expect(page.locator("#play")).to_have_text("Pause")
    page.keyboard.press("Escape")
    page.click("#play")
    api.expect(page.locator("#play")).to_have_text("Play")
    page.click("#reset")
    api.expect(step(page)).to_have_text("0")


ROUNDED = {
    1230.4: "1230", 1000.2: "1000", -2049.6: "-2050", 0.25: "0.25", 1.5e-9: "1.5e-9", 1234567.5: "1235000", 7: "7",
}  # fmt: skip


def test_numbers_are_rounded_to_four_digits(browser, address):
    tab = browser.new_page()
    tab.goto(address[0].replace("#", "drawing/elements.js#"))
    rounded = tab.evaluate("(all) => import(location.pathname).then(({ number }) => all.map(number))", list(ROUNDED))
    tab.close()
    assert rounded == list(ROUNDED.values())


def test_the_step_has_the_numbers_of_explain(page, address):
    expected = explain_experiment(address[1])
    page.click("#explain")
    page.locator("#moments [aria-selected=true]").press("ArrowRight")  # the focus goes along
    api.expect(page.get_by_role("tab", name="forward: 1 ReLU")).to_be_focused()
    api.expect(page.get_by_role("tabpanel", name="forward: 1 ReLU")).to_contain_text("forward of ReLU")
    calls = page.locator("#moments button")
    api.expect(calls).to_have_count(17)
    names = [text.strip() for text in calls.all_inner_texts()]
    assert names[:2] == ["forward: 0 Linear", "forward: 1 ReLU"]
    assert names[-2:] == ["backward: 0 Linear", "update: SGD"]
    calls.nth(names.index("backward: 6 Linear")).click()
    (linear,) = (each for each in expected.of("backward") if each.path == "6")
    (weight,) = (each for each in linear.gradients if each.name == "d_weight")
    shown = page.locator("figure", has_text="d_weight").inner_text()
    assert float(re.search(r"norm ([\d.e-]+)", shown)[1]) == pytest.approx(weight.norm, rel=1e-3)
    assert "d_weight = sum of outer(d_y, x)" in page.locator("#moment pre").inner_text()
    page.keyboard.press("ArrowRight")
    api.expect(page.locator("#moments [aria-selected=true]")).to_have_text("backward: 5 ReLU")
    page.click("#batch")  # the step is taken, so that what was told of it is gone
    api.expect(page.locator("#movement")).to_be_hidden()


def test_the_file_on_the_page_trains_to_the_weights_on_the_page(page, tmp_path):
    page.click("#epoch")
    api.expect(page.locator("#history tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.click("#download")
    file = tmp_path / "downloaded.toml"
    download.value.save_as(file)
    run = train_experiment(file, output=tmp_path, quiet=True)
    assert len(run.history) == 1
    shown = page.locator("#history tbody td").all_inner_texts()
    assert float(shown[1]) == pytest.approx(run.history[0]["train_loss"], rel=1e-3)
    assert float(shown[3]) == pytest.approx(run.history[0]["validation_loss"], rel=1e-3)
    assert all(torch.isfinite(value).all() for value in run.net.state_dict().values())


def test_the_experiment_is_changed_on_the_page(page):
    page.get_by_label("Units").first.fill("7")
    page.get_by_label("Units").first.press("Enter")
    api.expect(page.locator("#toml")).to_contain_text("out_features = 7")
    page.get_by_label("Data set").select_option("Gaussians")
    api.expect(page.locator("#toml")).to_contain_text('type = "Gaussians"')
    api.expect(page.locator("#toml")).to_contain_text("out_features = 3")
    page.get_by_label("Add a layer before the last one").select_option("Dropout")
    api.expect(page.locator("#layers")).to_contain_text("Dropout")
    page.locator("label", has_text="Loss").locator("select").select_option("CrossEntropyLoss")
    api.expect(page.locator("#toml")).to_contain_text("CrossEntropyLoss")
    page.click("#epoch")
    api.expect(page.locator("#history tbody tr")).to_have_count(1)
    page.get_by_label("Learning rate").fill("0.05")
    page.get_by_label("Learning rate").press("Enter")
    api.expect(page.locator("#at-lr")).to_have_text("0.05")
    api.expect(page.locator("#note")).to_contain_text("changed while it trained")
    page.get_by_label("Batch size").fill("0")
    page.get_by_label("Batch size").press("Enter")
    api.expect(page.locator("#note")).to_contain_text("batch_size")
    api.expect(page.get_by_label("Batch size")).to_have_value("20")


def test_the_focus_and_what_is_half_typed_stay_when_the_form_changes(page):
    size, rate, toml = page.get_by_label("Batch size"), page.get_by_label("Learning rate"), page.locator("#toml")
    size.fill("10")
    size.press("Tab")
    api.expect(toml).to_contain_text("batch_size = 10")
    api.expect(page.get_by_label("Initialisation")).to_be_focused()
    size.fill("12")
    rate.press_sequentially("1e-")  # behind 0.1, which is no number yet
    api.expect(toml).to_contain_text("batch_size = 12")
    api.expect(rate).to_be_focused()
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    api.expect(page.locator("#at-lr")).to_have_text("0.00011")
    page.get_by_label("Optimizer").focus()
    page.get_by_label("Optimizer").select_option("Adam")
    api.expect(page.get_by_label("Optimizer")).to_be_focused()
    api.expect(page.get_by_label("eps")).to_be_visible()
    page.get_by_label("Move toward the inputs: ReLU, layer 3").press("Enter")
    api.expect(page.locator(".layer").nth(2)).to_contain_text("ReLU")
    assert page.evaluate("document.activeElement.closest('#layers') !== null")
    page.get_by_label("Keys").uncheck()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    page.get_by_label("Keys").check()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    api.expect(step(page)).to_have_text("1")


def test_a_link_is_opened_in_a_tab_that_trains(page, address):
    toml = to_toml(load_experiment(str(address[1]), {"seed": 7, "data.train.samples": 60}))
    shared = base64.urlsafe_b64encode(toml.encode()).decode()
    page.evaluate("(link) => { location.hash = link; }", f"{address[0].partition('#')[2]}&experiment={shared}")
    api.expect(page.locator("#toml")).to_contain_text("seed = 7")
    page.click("#batch")
    api.expect(step(page)).to_have_text("1")
    page.reload()  # which does not open it again
    api.expect(step(page)).to_have_text("1")
    page.evaluate("location.hash = 'experiment=no-link!'")
    api.expect(page.locator("#note")).to_contain_text("holds no experiment")


def test_a_residual_connection_is_added_drawn_and_removed(page):
    toml = page.locator("#toml")
    page.get_by_label("Add a residual connection around it: Linear, layer 4").click()
    api.expect(toml).to_contain_text('type = "Residual"')
    api.expect(page.locator("#layers")).to_contain_text("Residual: Linear + ReLU")
    api.expect(page.locator("#network")).to_have_attribute("aria-label", re.compile("then Residual"))
    page.get_by_label("Units").nth(1).fill("6")  # which the layers inside follow
    page.get_by_label("Units").nth(1).press("Enter")
    api.expect(toml).to_contain_text("in_features = 6, out_features = 6")
    page.click("#batch")
    api.expect(step(page)).to_have_text("1")
    page.get_by_label("Remove the residual connection and keep the layers").click()
    api.expect(toml).not_to_contain_text("Residual")
    page.get_by_label("Add a layer before the last one").select_option("Residual")
    api.expect(toml).to_contain_text("Residual")
    page.get_by_label("Remove: Residual").click()
    api.expect(toml).not_to_contain_text("Residual")


def test_initialisation_optimizer_and_schedule_are_chosen_with_their_settings(page, tmp_path):
    toml = page.locator("#toml")
    page.get_by_label("Initialisation").select_option("orthogonal")
    api.expect(toml).to_contain_text("orthogonal")
    page.get_by_label("Optimizer").select_option("AdamW")
    page.get_by_label("beta 1").fill("0.8")
    page.get_by_label("beta 1").press("Enter")
    api.expect(toml).to_contain_text("0.8")
    page.get_by_label("Schedule").select_option("OneCycleLR")
    api.expect(toml).to_contain_text("OneCycleLR")
    page.get_by_label("Epochs").fill("2")
    page.get_by_label("Epochs").press("Enter")
    api.expect(toml).to_contain_text("epochs = 2")
    page.click("#epoch")
    api.expect(page.locator("#history tbody tr")).to_have_count(1)
    api.expect(toml).to_contain_text("epochs = 2")  # for which the schedule is planned
    page.click("#epoch")
    api.expect(page.locator("#note")).to_contain_text("every epoch is done")
    file = tmp_path / "planned.toml"
    file.write_text(toml.inner_text())
    run = train_experiment(file, output=tmp_path, quiet=True)
    shown = page.locator("#history tbody tr").first.locator("td").all_inner_texts()
    assert float(shown[1]) == pytest.approx(run.history[1]["train_loss"], rel=1e-3)


def test_an_installed_experiment_is_chosen(page):
    page.get_by_label("Begin with").select_option("adding-lstm")
    api.expect(page.locator("#toml")).to_contain_text("AddingProblem", timeout=60_000)


def test_a_reload_in_mid_run_loses_nothing_and_two_tabs_train_by_themselves(page, browser, address):
    page.click("#epoch")
    api.expect(step(page)).to_have_text("3")
    page.click("#play")
    api.expect(page.locator("#history tbody tr")).to_have_count(4)
    before = int(step(page).inner_text())
    page.reload()
    api.expect(page.locator("#history tbody tr")).to_have_count(4)
    assert int(step(page).inner_text()) >= before
    api.expect(page.locator("#play")).to_have_text("Play")
    with quiet_tab(browser, address[0]) as other:
        api.expect(step(other)).to_have_text("0")
        api.expect(other.locator("#at-lr")).to_have_text("0.1", timeout=60_000)
        other.click("#batch")
        api.expect(step(other)).to_have_text("1")
    page.click("#batch")
    api.expect(page.locator("#note")).to_be_hidden()


KEEP_SOCKETS = """
const Own = WebSocket;
window.sockets = [];
WebSocket = class extends Own { constructor(...given) { super(...given); window.sockets.push(this); } };
WebSocket.OPEN = Own.OPEN;
"""


def test_a_connection_that_breaks_is_opened_again_where_it_was(page):
    page.add_init_script(KEEP_SOCKETS)
    page.reload()
    api.expect(page.locator("#at-lr")).to_have_text("0.1", timeout=60_000)
    page.click("#epoch")
    api.expect(step(page)).to_have_text("3")
    page.evaluate("window.sockets.at(-1).close()")  # as after a laptop has slept
    api.expect(page.locator("#note")).to_contain_text("connection is lost")
    api.expect(page.locator("#note")).to_be_hidden()
    page.click("#batch")
    api.expect(step(page)).to_have_text("4")
    page.get_by_label("Seed").fill("5")
    page.get_by_label("Seed").press("Enter")
    api.expect(page.locator("#toml")).to_contain_text("seed = 5")
    page.evaluate("sessionStorage.setItem('session', 'one that has ended')")
    page.evaluate("window.sockets.at(-1).close()")
    api.expect(page.locator("#note")).to_contain_text("begins anew", timeout=60_000)
    api.expect(page.locator("#toml")).to_contain_text("seed = 5")  # and not what the command named


def test_many_rows_and_wide_layers_are_trained_and_drawn(page):
    page.get_by_label("Training rows").fill("10000")
    page.get_by_label("Training rows").press("Enter")
    api.expect(page.locator("#toml")).to_contain_text("samples = 10000")
    page.get_by_label("Units").nth(1).fill("512")
    page.get_by_label("Units").nth(1).press("Enter")
    api.expect(page.locator("#network")).to_have_attribute("aria-label", re.compile("with 512 units"))
    page.click("#batch")
    api.expect(step(page)).to_have_text("1")
    page.click("#explain")
    api.expect(page.locator("#moments button").first).to_be_visible()


def test_a_network_that_explodes_says_in_which_layer(page):
    page.get_by_label("Learning rate").fill("1e20")
    page.get_by_label("Learning rate").press("Enter")
    api.expect(page.locator("#at-lr")).to_have_text("100000000000000000000")
    page.get_by_label("Seed").fill("1")  # so that the rate is the file's
    page.get_by_label("Seed").press("Enter")
    api.expect(page.locator("#toml")).to_contain_text("seed = 1")
    page.click("#play")
    api.expect(page.locator("#note")).to_contain_text(re.compile(r"The training ended: .*finite.*Linear"))
    page.get_by_label("Learning rate").fill("0.1")
    page.get_by_label("Learning rate").press("Enter")
    api.expect(page.locator("#at-lr")).to_have_text("0.1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,kind\n" + "".join(f"{x},{x * 7 % 10},{'yes' if x % 2 else 'no'}\n" for x in range(40)), None),
        ("a,b,c,kind\n" + "".join(f"{x},{x % 7},{x % 3},{x % 2}\n" for x in range(40)), None),
        ("a,name,kind\n1,word,yes\n2,other,no\n", "own.csv: row 2, column 'name' must be a number, got 'word'"),
        ("this is a text\nand no table\n", "own.csv: features must name at least one column"),
        ("", "own.csv: must have a line of column names"),
    ],
)
def test_a_table_is_taken_or_refused_by_one_sentence(page, text, said):
    page.locator("#open").focus()
    api.expect(page.locator("#open")).to_be_focused()
    page.set_input_files("#open", {"name": "own.csv", "mimeType": "text/csv", "buffer": text.encode()})
    if said is None:
        api.expect(page.locator("#toml")).to_contain_text('path = "own.csv"')
        api.expect(page.locator("#beside")).to_contain_text("own.csv")
        page.evaluate("sessionStorage.setItem('session', 'one that has ended')")
        page.reload()
        api.expect(page.locator("#note")).to_contain_text("begins anew", timeout=60_000)
    else:
        api.expect(page.locator("#note")).to_contain_text(said)
    page.click("#batch")
    api.expect(step(page)).to_have_text("1")


def test_on_a_phone_nothing_is_wider_than_the_page(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("#explain")
    api.expect(page.locator("#moments button").first).to_be_visible()
    width = page.locator("html").bounding_box()["width"]
    assert width <= 390
    assert page.locator("main").bounding_box()["width"] <= 390


def test_a_copied_link_holds_the_experiment_and_not_the_token(page, browser):
    page.get_by_label("Batch size").fill("12")
    page.get_by_label("Batch size").press("Enter")
    api.expect(page.locator("#toml")).to_contain_text("batch_size = 12")
    page.evaluate("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    page.click("#share")
    api.expect(page.locator("#note")).to_contain_text("mytorch playground LINK")
    link = page.evaluate("window.copied")
    assert "token" not in link
    with quiet_tab(browser, link) as other:  # in which nobody knows the token
        api.expect(other.locator("#note")).to_have_text(
            f"This link holds an experiment. Open it on the command line: mytorch playground '{link}'"
        )
    assert first_command(link)["toml"] == page.locator("#toml").inner_text()


DRAWN = {
    "digits-cnn": ({}, ["Conv2d + ReLU with 16 channels", "Linear with 10 units"]),
    "adding-lstm": ({"data.train.samples": 100}, ["inputs with 2 units over 30 steps", "LSTM + Take with 32"]),
    "text-gpt": ({"model.layers.2.num_layers": 1}, ["Linear + MultiheadAttention"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_images_sequences_and_attention_are_drawn_and_change_as_they_are_trained(browser, address, tmp_path, name):
    overrides, said = DRAWN[name]
    if name == "text-gpt":
        (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog sat on the cat\n" * 40)
        overrides = {**overrides, "data.train.path": str(tmp_path / "text.txt")}
    if name == "digits-cnn":
        pytest.importorskip("sklearn")
    text = to_toml(load_experiment(name, overrides))
    shared = base64.urlsafe_b64encode(text.encode()).decode()
    with quiet_tab(browser, f"{address[0]}&experiment={shared}") as tab:
        network = tab.locator("#network")
        for words in said:
            api.expect(network).to_have_attribute("aria-label", re.compile(re.escape(words)), timeout=60_000)
        api.expect(step(tab)).to_have_text("0")
        before = pixels(tab)
        tab.click("#batch")
        api.expect(step(tab)).to_have_text("1")
        assert pixels(tab) != before
        tab.click("#explain")
        if name == "text-gpt":
            tab.locator("#moments button", has_text=re.compile(r"^forward.*MultiheadAttention")).click()
            api.expect(tab.locator(".detail")).to_contain_text("attention weights of the first sequence")


def test_the_drawing_follows_the_step_forward_and_backward(page):
    page.click("#explain")
    calls = page.locator("#moments button")
    api.expect(page.locator("#moment-legend")).to_contain_text("Forward")
    forward = pixels(page)
    calls.filter(has_text="backward: 2 Linear").click()
    api.expect(page.locator("#moment-legend")).to_contain_text("gradient")
    assert pixels(page) != forward
    api.expect(page.locator("#moment .histogram").first).to_be_visible()


def test_an_explained_step_is_a_page_of_its_own(browser, address, tmp_path):
    steps = explain_batches(address[1], first=1, count=3)
    file = tmp_path / "steps.html"
    file.write_text(page_of(steps))
    assert file.stat().st_size < 1_000_000
    with quiet_tab(browser, file.as_uri()) as tab:
        api.expect(tab.locator("#heading")).to_contain_text(f"loss {steps[0].loss:.6g}")
        tab.locator("body").press("ArrowRight")
        api.expect(tab.locator("#moments [aria-selected=true]")).to_have_text("forward: 1 ReLU")
        calls = tab.locator("#moments button")
        calls.filter(has_text="backward: 6 Linear").click()
        api.expect(tab.locator("#moment")).to_contain_text("d_weight")
        before = pixels(tab)
        tab.locator("#batch").focus()
        tab.keyboard.press("ArrowRight")
        api.expect(tab.locator("#heading")).to_contain_text(f"loss {steps[1].loss:.6g}")
        api.expect(tab.locator("#moments [aria-selected=true]")).to_have_text("backward: 6 Linear")
        assert pixels(tab) != before
        (linear,) = (each for each in steps[1].of("backward") if each.path == "6")
        weight = next(each for each in linear.gradients if each.name == "d_weight")
        shown = tab.locator("figure", has_text="d_weight").inner_text()
        if weight.values is None:
            assert float(re.search(r"norm ([\d.e-]+)", shown)[1]) == pytest.approx(weight.norm, rel=1e-3)
        api.expect(tab.locator("#norms .bar").first).to_be_visible()
        tab.set_viewport_size({"width": 390, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def verdict(page):
    return page.locator("#verdict")


def test_an_exercise_is_solved_by_typing_from_opening_the_page(page):
    page.evaluate("localStorage.setItem('mytorch exercises', 'no JSON')")  # of somebody else
    page.keyboard.press("x")
    api.expect(page.locator("#exercise h3").first).to_have_text("ReLU: the gradient of its input")
    api.expect(page.locator("#exercises-title")).to_be_focused()
    api.expect(page.locator("#exercise .code mark")).to_contain_text("d_x = ?")
    api.expect(page.locator("#trials")).to_contain_text(
        "with ReLU() and the inputs (5, 3), and once more with ReLU() and"
    )
    page.get_by_label("d_x =").fill("d_y / 5 * (x > 0)")
    page.get_by_role("button", name="Check").click()
    api.expect(verdict(page)).to_contain_text("it is 5 times too small: a mean where the sum belongs?")
    page.get_by_role("button", name="Show a hint").click()
    page.get_by_role("button", name="Show a hint").click()
    api.expect(page.locator("#hints li")).to_have_count(2)
    api.expect(page.locator("#solution")).to_be_empty()
    page.get_by_label("d_x =").fill("d_y * (x > 0)")
    page.keyboard.press("Control+Enter")
    api.expect(verdict(page)).to_contain_text("Right")
    api.expect(page.locator("#solution")).to_contain_text("d_x = d_y * (x > 0)")
    api.expect(page.locator("#progress")).to_have_text("1 of 19 solved")
    other = page.context.new_page()  # another tab solves another exercise
    other.goto(page.url.partition("#")[0] + "page/progress.js")
    kept = "JSON.stringify({ ...JSON.parse(localStorage.getItem('mytorch exercises')), tanh: { solved: true } })"
    other.evaluate(f"localStorage.setItem('mytorch exercises', {kept})")
    other.close()
    api.expect(page.locator("#progress")).to_have_text("2 of 19 solved")
    page.get_by_label("d_x =").fill("d_y * (x >= 0)")
    page.reload()  # what was solved and typed is kept
    page.click("#to-exercises")
    api.expect(page.locator("#progress")).to_have_text("2 of 19 solved")
    api.expect(page.get_by_label("d_x =")).to_have_value("d_y * (x >= 0)")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Begin anew").click()
    api.expect(page.locator("#progress")).to_have_text("0 of 19 solved")
    api.expect(page.get_by_label("d_x =")).to_have_value("")


def test_an_exercise_is_solved_by_pieces_on_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("#to-exercises")
    page.get_by_role("button", name="Attention: the gradient of the keys").click()
    api.expect(page.locator("#exercise h3").first).to_be_focused()
    page.get_by_label("Choose from pieces").check()
    page.get_by_role("button", name="Check").click()
    api.expect(verdict(page)).to_contain_text("Choose a line first")
    page.get_by_label("d_scores.T @ query", exact=True).check()
    page.get_by_role("button", name="Check").click()
    api.expect(verdict(page)).to_contain_text("1.73205 times too large")
    api.expect(verdict(page)).to_contain_text("The scores were multiplied by the scale")
    page.get_by_label("d_scores.T @ query * scale", exact=True).check()
    page.get_by_role("button", name="Check").click()
    api.expect(verdict(page)).to_contain_text("Right")
    api.expect(page.get_by_role("button", name="Attention: the gradient of the keys, solved")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_answer_that_loops_is_stopped_while_the_page_trains(page):
    page.click("#play")
    page.click("#to-exercises")
    page.get_by_label("d_x =").fill("while True:\n    pass\nd_x = d_y")
    page.get_by_role("button", name="Check").click()
    api.expect(verdict(page)).to_contain_text("was stopped", timeout=60_000)
    api.expect(page.locator("#play")).to_have_text("Pause")
    api.expect(step(page)).not_to_have_text(step(page).inner_text())


def test_an_experiment_to_break_is_loaded_and_trained_by_its_button(page):
    page.click("#to-breaking")
    page.get_by_role("button", name="Load and start: Vanishing gradients").click()
    api.expect(page.locator("#toml")).to_contain_text("Vanishing gradients")
    api.expect(page.locator("#play")).to_have_text("Pause")
    api.expect(page.locator("#history tbody tr").first).to_be_visible()
    api.expect(page.locator("#layers")).to_contain_text("Sigmoid")
