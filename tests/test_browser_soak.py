"""Somebody who tries everything, in no order: nothing breaks, nothing leaks, and what is shown is what holds."""

import base64
import json
import subprocess
import sys

import numpy as np
import psutil
import pytest
from browser import ARGUMENTS, SCREENSHOTS, App, drawn, find_browser, open_page, wait_until
from explorer_systems import trapped_cluster

import amaexplore as ama

pytestmark = pytest.mark.browser

GROWTH = 0.10
# chosen and used in one go, since a control may leave the page while one reaches for it
USE_ONE = """([where, option, leftAlone]) => {
  const nameOf = (element) => element.title || element.textContent || element.className;
  const usable = [...document.querySelectorAll('.ama-app button, .ama-app select, .ama-app .noUi-handle')].filter((one) =>
    !one.disabled && one.offsetParent !== null && getComputedStyle(one).visibility !== 'hidden'
    && !one.closest('.ama-dialog, .ama-menu, .amaexplore-save') && !leftAlone.some((name) => nameOf(one).startsWith(name)));
  const element = usable[Math.floor(where * usable.length)];
  if (element.tagName === 'SELECT') {
    element.selectedIndex = Math.floor(option * element.options.length);
    element.dispatchEvent(new Event('change', { bubbles: true }));
  } else if (element.tagName === 'BUTTON') element.click();
  else {
    const key = option < 0.5 ? 'ArrowLeft' : 'ArrowRight';
    for (let i = 0; i < 6; i++) element.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  }
  return nameOf(element);
}"""
LEFT_ALONE = ["Units of", "Start what was", "Stop what", "Where the data come from", "Simulate this demo"]


@pytest.fixture
def app(tmp_path):
    file = tmp_path / "cluster.h5md"
    trapped_cluster().save(file)
    # what is compiled while it runs would count as a leak
    subprocess.run([sys.executable, "-m", "amaexplore.explorer.ahead"], check=True)
    running = App(["explore", str(file), "--no-browser"], tmp_path, JUPYTER_CONFIG_DIR=str(tmp_path / "jupyter"))
    yield running
    running.close()


@pytest.mark.parametrize("n_moves", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_random_use_breaks_nothing_leaks_nothing_and_leaves_nothing_stale(app, n_moves):
    path = find_browser()
    from playwright.sync_api import sync_playwright

    rng = np.random.default_rng(17)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        page = open_page(chromium, app.url)
        field = page.locator(".ama-step").nth(1).locator("input").first
        field.wait_for(timeout=60_000)
        field.fill("index 0 to 4")
        wait_until(lambda: _cards(page))
        _look_at_everything(page)
        _choose_everything(page)
        sizes, moves = [], []
        for _ in range(n_moves):
            moves.append(_any_move(page, rng))
            page.wait_for_timeout(int(rng.integers(20, 200)))
            assert not _errors(page), (moves[-5:], _errors(page))
            sizes.append(_kernel_memory(app))
        _quiet(page)
        # after a quarter everything has been compiled, read and drawn once; what is asked for at one moment and not at another
        # (errors, other masses) is no leak, so that a quarter is compared with a quarter
        before, after = np.median(sizes[n_moves // 4 : n_moves // 2]), np.median(sizes[-n_moves // 4 :])
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"soak_{n_moves}.png")
        if set(page.locator(".ama-card-value").all_inner_texts()) == {"–"}:
            # the last moves took the nanoparticle away, and with it every number that could be compared
            assert not _document(page)["choices"]["selection"] or page.locator(".ama-error").count()
            if not field.is_visible():
                page.locator(".ama-step").nth(1).locator(".ama-fold").click()
            field.fill("index 0 to 4")
            wait_until(lambda: _cards(page))
            _quiet(page)
        document, shown = _settled(page)
        chromium.close()
    print(f"{n_moves} moves; kernel {before / 2**20:.0f} -> {after / 2**20:.0f} MiB; {len(set(moves))} controls used")
    assert len(set(moves)) > min(n_moves // 3, 20)
    assert after <= (1.0 + GROWTH) * before
    # what the address remembers gives, in another process, the numbers on the page
    again = ama.Session.from_dict(document)
    for name, result, attribute in (("γ", "gamma", "isotropic"), ("ζ", "theta", "friction")):
        if shown[name] == "–":
            with pytest.raises(ama.AmaError):
                again.result(result, 120)
            continue
        value = getattr(again.result(result, 120), attribute)
        assert _agrees(shown[name], value), (name, shown[name], value, json.dumps(document["choices"]))
    again.stop()


def _any_move(page, rng):
    """Use one control that can be used; returns its name."""
    return page.evaluate(USE_ONE, [rng.random(), rng.random(), LEFT_ALONE])


def _look_at_everything(page):
    """Every picture once: what it takes to draw the first time is no leak."""
    names = page.locator(".ama-overlay button").all_inner_texts()
    for number in range(len(names)):
        button = page.locator(".ama-overlay button").nth(number)
        if button.is_visible() and button.is_enabled():
            button.click()
            page.wait_for_timeout(300)
    for name in ("paths", "± errors", "what if ε"):
        for _ in range(2):
            page.get_by_role("button", name=name, exact=True).click()
            _quiet(page)


def _choose_everything(page):
    """Every option once, ending with what was chosen: an estimator or a boundary that is new loads and compiles what it needs."""
    for number in range(page.locator(".ama-step select").count()):
        menu = page.locator(".ama-step select").nth(number)
        if not menu.is_visible() or (menu.get_attribute("title") or "").startswith(tuple(LEFT_ALONE)):
            continue
        chosen = menu.evaluate("(menu) => menu.selectedIndex")
        for option in [*range(menu.evaluate("(menu) => menu.options.length")), chosen]:
            menu.select_option(index=option)
            page.wait_for_timeout(200)
            _quiet(page, rest=100)


def _errors(page):
    return [error for error in page.errors if "status of 403" not in error]


def _cards(page):
    return drawn(page, "running") and page.locator(".ama-card-value[data-quantity='γ']").count()


def _quiet(page, rest=1200):
    """Wait until no step works any more, and ``rest`` milliseconds for the address to follow."""
    wait_until(
        lambda: (
            page.locator(".ama-number.ama-working, .ama-number.ama-stale").count() == 0
            and page.get_by_text("computing").locator("visible=true").count() == 0
        )
    )
    page.wait_for_timeout(rest)


def _settled(page):
    """The document and the cards, once nothing has changed any more: on a busy machine the last moves are still on their way."""
    before = None
    for _ in range(20):
        now = (
            _document(page),
            {name: page.locator(f".ama-card-value[data-quantity='{name}']").inner_text() for name in ("γ", "ζ")},
        )
        if now == before:
            return now
        before = now
        page.wait_for_timeout(1500)
        _quiet(page)
    raise AssertionError(f"the page does not come to rest; the last it showed is {now}")


def _document(page):
    text = page.evaluate("() => location.hash").removeprefix("#session=")
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _kernel_memory(app):
    """Resident memory of the kernels behind the page, bytes."""
    children = psutil.Process(app.process.pid).children(recursive=True)
    kernels = [child for child in children if "ipykernel" in " ".join(child.cmdline())]
    assert kernels, [child.cmdline() for child in children]
    return max(child.memory_info().rss for child in kernels)


def _agrees(card, value):
    if card.startswith("not available"):
        return not np.isfinite(value)
    shown = float(card.split("±")[0].replace("−", "-").split("×")[0])
    factor = 10.0 ** float(card.split("×10")[1].replace("−", "-")) if "×10" in card else 1.0
    digits = len(f"{abs(shown):g}".replace(".", "").lstrip("0")) or 1
    return abs(shown * factor - value) <= abs(value) * 10.0 ** (1 - digits)
