"""Many people on one explorer at once: how long each waits, what they need together, and that nobody sees another's choices.

    python tests/benchmarks/sessions.py                 # ten pages of one application, about two minutes
    python tests/benchmarks/sessions.py --sessions 2    # to see that it runs

Every page is a browser of its own to the application (no cookies in common), every session a kernel of its own. All browsers
run on the same machine as the application, so the times are those of a machine that does both; the memory is that of the
application and its kernels alone, each shared page counted once (PSS).
"""

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import ARGUMENTS, App, drawn, find_browser, open_page, wait_until

# Moves the slider that grows the nanoparticle by one stop and waits for another value on the running integral.
MOVE = """async ([key, start]) => {
  const handle = document.querySelector('.ama-growth-slider .noUi-handle');
  const mark = () => {
    const root = document.querySelector('.ama-figure-running')?.bokehDocument?.roots()[0];
    for (const renderer of root?.renderers ?? []) {
      const data = renderer.data_source?.data; if (!data) continue;
      const [t, value] = data instanceof Map ? [data.get('t'), data.get('value')] : [data.t, data.value];
      if (t && t.length === 1 && value) return value[0];
    }
  };
  await new Promise((done) => setTimeout(done, Math.max(0, start - Date.now())));
  const before = mark(), began = performance.now();
  handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  while (mark() === before || mark() === undefined) {
    if (performance.now() - began > 30000) return null;
    await new Promise((done) => setTimeout(done, 2));
  }
  await new Promise((done) => requestAnimationFrame(done));
  return performance.now() - began;
}"""


def is_drawn(page):
    """Whether the running integral has its marker."""
    figure = drawn(page, "running")
    return figure is not None and any(len(c.get("t", ())) == 1 and "std" in c for c in figure["columns"])


def choices(page):
    """What the page's own address remembers of it."""
    text = page.evaluate("() => location.hash").removeprefix("#session=")
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))["choices"]


def open_pages(chromium, url, n_sessions):
    """The pages, and after how many seconds each had drawn; all are asked for at once."""
    began, pages = [], []
    for _ in range(n_sessions):
        began.append(time.perf_counter())
        pages.append(open_page(chromium, url))
    waits = []
    for number, page in enumerate(pages):
        # a browser draws nothing in pages that lie behind others, and not at once in one that has just come to the front
        page.bring_to_front()
        try:
            wait_until(lambda page=page: is_drawn(page), patience=120.0)
        except AssertionError:
            raise SystemExit(f"page {number + 1} of {n_sessions} was not drawn in two minutes") from None
        waits.append(time.perf_counter() - began[number])
    return pages, waits


def begin_to_grow(page):
    """Ask for the slider that makes the nanoparticle of the first residues, and move it once."""
    kinds = page.locator("select", has=page.locator("option", has_text="pick or grow"))
    kinds.select_option(index=kinds.locator("option").count() - 1)
    page.locator(".ama-growth-slider .noUi-handle").wait_for()
    page.evaluate(MOVE, ["ArrowRight", 0])
    wait_until(lambda: choices(page)["selection"])


def move_in_turn(pages, rounds):
    """Milliseconds from a key on the slider to the drawn number, one page after the other; nobody else's choices move."""
    times = []
    for turn in range(rounds):
        for number, page in enumerate(pages):
            page.bring_to_front()
            others = [choices(other) for other in pages if other is not page]
            before = choices(page)["selection"]
            times.append(page.evaluate(MOVE, ["ArrowRight", 0]))
            # each goes to a stop of its own
            for _ in range(number if turn == 0 else 0):
                page.evaluate(MOVE, ["ArrowRight", 0])
            wait_until(lambda page=page, before=before: choices(page)["selection"] != before)
            if [choices(other) for other in pages if other is not page] != others:
                raise SystemExit(f"a choice in session {number} was seen in another")
    return times


def move_at_once(pages, rounds):
    """The same with a key in every page at the same instant."""
    times = []
    for turn in range(rounds):
        start = 1000 * (time.time() + 1.0)
        for page in pages:
            page.evaluate(
                f"(given) => {{ window.moved = ({MOVE})(given); }}", ["ArrowLeft" if turn % 2 else "ArrowRight", start]
            )
        times += [page.evaluate("() => window.moved") for page in pages]
    return times


def memory(process):
    """Bytes of the application and of each kernel, pages that several share counted once."""
    kernels, server = [], 0
    for one in [process, *process.children(recursive=True)]:
        size = one.memory_full_info().pss
        if "ipykernel" in " ".join(one.cmdline()):
            kernels.append(size)
        else:
            server += size
    return server, kernels


def row(name, values, unit, digits=1):
    values = np.array([np.nan if value is None else value for value in values], dtype=float)
    print(f"{name:48} {np.median(values):8.{digits}f} {values.max():8.{digits}f} {unit}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5, help="moves of every slider")
    parser.add_argument("files", nargs="*", help="opened instead of the embedded demo")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = [str(Path(file).resolve()) for file in options.files]
        app = App(["explore", *files, "--no-browser"], folder, JUPYTER_CONFIG_DIR=str(Path(folder) / "jupyter"))
        chromium = playwright.chromium.launch(executable_path=find_browser(), headless=True, args=ARGUMENTS)
        try:
            # what happens once on a machine: kernels compiled, the demo simulated
            (first,), (once,) = open_pages(chromium, app.url, 1)
            first.close()
            pages, waits = open_pages(chromium, app.url, options.sessions)
            print(
                f"first page on this machine {once:.1f} s\n\n{options.sessions} sessions{'median':>46} {'largest':>8}"
            )
            row("opened at once, until drawn", waits, "s")
            for page in pages:
                page.bring_to_front()
                begin_to_grow(page)
            row("slider to drawn number, one after the other", move_in_turn(pages, options.rounds), "ms", 0)
            row("slider to drawn number, all at once", move_at_once(pages, options.rounds), "ms", 0)
            selections = {json.dumps(choices(page)["selection"]) for page in pages}
            server, kernels = memory(psutil.Process(app.process.pid))
            if len(selections) < len(pages):
                raise SystemExit("two sessions ended with one selection, though each was moved to one of its own")
            row(f"memory of a kernel, of {len(kernels)} with the first page's", np.array(kernels) / 2**20, "MiB", 0)
            total = (server + sum(kernels)) / 2**20
            print(f"{'memory of the server, of all together':48} {server / 2**20:8.0f} {total:8.0f} MiB")
            print(f"{len(selections)} different selections; nobody's choices moved with another's")
        finally:
            chromium.close()
            app.close()
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
