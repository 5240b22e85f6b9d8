"""The site in a browser, Chromium: what a reader sees at the width of a desktop and of a phone."""

import functools
import html
import re
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the site is built and tested by tox -e docs")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if not CHROMIUM:
    pytest.skip("a Chromium is needed, such as Debian's package chromium", allow_module_level=True)

SITE = Path(__file__).parents[2] / ".site/html"
PAGES = ["", "get-started/", "layers/", "performance/", "experiments/", "reference/nn/", "reference/nn/lstm/"]
PAGES += ["backpropagation/", "backpropagation/recurrence/"]
SCREENS = {"desktop": {"width": 1300, "height": 900}, "phone": {"width": 390, "height": 844}}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[("desktop", "light"), ("phone", "dark")], ids="-".join)
def tab(request, browser, address):
    """A tab; what its console says, and what it cannot or must not fetch, are errors."""
    screen, scheme = request.param
    own = (address, "data:", "blob:")
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme)
    tab, faults = context.new_page(), []
    tab.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("response", lambda response: faults.append(response.url) if response.status >= 400 else None)
    tab.on("request", lambda sent: None if sent.url.startswith(own) else faults.append(sent.url))
    yield tab
    context.close()
    assert not faults


def test_pages_fit_the_screen_and_formulas_are_drawn(tab, address):
    for page in PAGES:
        tab.goto(address + page)
        tab.wait_for_load_state("networkidle")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
        drawn = tab.evaluate("document.querySelectorAll('.arithmatex > .katex').length")
        assert drawn == tab.evaluate("document.querySelectorAll('.arithmatex').length"), page
    assert drawn > 20


def test_search_finds_a_layer(tab, address):
    tab.goto(address)
    tab.wait_for_load_state("networkidle")
    tab.locator("button.md-search__button:visible, label[for=__search]:visible").first.click()
    tab.wait_for_timeout(500)  # the field is moved in, and has the focus then
    tab.keyboard.type("LayerNorm")
    tab.locator("a[href*='reference/nn/layernorm']:visible").first.click()
    tab.wait_for_url("**/reference/nn/layernorm/**")


def test_every_formula_of_the_site_is_one_for_katex(browser, address):
    formulas = set()
    for page in SITE.rglob("*.html"):
        found = re.findall(r'class="arithmatex">\\\((.*?)\\\)<', page.read_text(encoding="utf-8"), re.DOTALL)
        formulas.update(map(html.unescape, found))
    assert len(formulas) > 500
    tab = browser.new_page()
    tab.goto(address)
    assert not tab.evaluate(
        """formulas => formulas.filter(formula => {
             try { katex.renderToString(formula, {strict: "error"}); } catch { return true; }
           })""",
        sorted(formulas),
    )
