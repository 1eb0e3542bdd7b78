"""A report in a real browser: it draws, filters, sorts, opens what is behind a figure, and loads nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeflow.report.report import report_file

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CONTRAST = """() => {
  const luminance = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (!found.endsWith(", 0)")) return found;
    }
    return "rgb(255, 255, 255)";
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const kinds = "p, th, td, a, label, summary, dt, dd, li, output, .badge, .value, .ratio";
  const texts = [...document.querySelectorAll(kinds)];
  return texts.filter((element) => element.textContent.trim() && element.clientHeight)
    .map((element) => [
      ratio(luminance(getComputedStyle(element).color), luminance(paper(element))),
      element.className, element.textContent.slice(0, 40),
    ])
    .filter(([found]) => found < 4.5);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    missing = "playwright" if sync_playwright is None else "chromium" if CHROMIUM is None else ""
    if missing:
        if os.environ.get("EDGEFLOW_BROWSER") == "required":
            pytest.fail(f"EDGEFLOW_BROWSER=required, and there is no {missing}")
        pytest.skip(f"needs {missing} (apt install chromium; pip install playwright)")
    with sync_playwright() as play:
        # The sandbox refuses to start as root, and the page is ours.
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("page") / "report.html"
    report_file(
        made.home / "results.db", page.parent, sweep="last", results=(), everything=False, output=page
    )
    return page


class Opened:
    """A page, and all that went wrong or was asked for while it was open."""

    def __init__(self, browser: Any, report: Path, *, address: str = "", **context: Any) -> None:
        self._context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        self.page = self._context.new_page()
        self.page.set_default_timeout(20_000)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", self._requested)
        self._own = report.as_uri()
        self.page.goto(self._own + address)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self._own, "data:")):
            self.said.append(f"request: {request.url}")

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def column(self, section: str, name: str) -> list[str]:
        heads = self.page.locator(f"{section} thead th").all_text_contents()
        cells = self.page.locator(f"{section} tbody tr td:nth-child({heads.index(name) + 1})")
        return list(cells.all_text_contents())

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Opened]:
    found = Opened(browser, report)
    yield found
    found.close()
    assert found.said == []


def test_it_draws_everything_and_hostile_names_are_text(opened: Opened, made: Any) -> None:
    page = opened.page
    assert page.title() == "Sweep runtime choice (swp1)"
    assert page.locator("img").count() == 0
    assert page.locator("#matrix tbody th").filter(has_text="</script><img src=x onerror").count() == 1
    page.wait_for_selector("#pareto svg path", state="attached")
    for section in ("spread", "time"):
        page.wait_for_selector(f"#{section} .chart svg path", state="attached")
    assert (
        page.locator("#shown").text_content()
        == f"{len(made.samples)} of {len(made.samples)} results, 3 of 3 not measured"
    )
    assert opened.overflow() <= 0


def test_what_is_not_valid_is_marked_and_never_best(opened: Opened) -> None:
    page = opened.page
    for model in ("blazeface", "ppocr-det"):
        row = page.locator("#matrix tr").filter(has=page.locator("th", has_text=model))
        best = row.locator("td.best")
        for text in best.all_text_contents():
            assert "suspect" not in text and "invalid" not in text and "emulated" not in text
    fast = page.locator("#matrix tr").filter(has=page.locator("th", has_text="blazeface · fp16"))
    assert fast.locator("td.best").count() == 0
    assert {"suspect", "invalid"} <= set(fast.locator(".badge").all_text_contents())
    lab = page.locator("#matrix tr").filter(has=page.locator("th", has_text="ppocr-det · fp16"))
    assert lab.locator("td").last.locator(".badge").all_text_contents() == ["invalid", "emulated"]
    assert lab.locator("td.best").count() == 2  # one a real device


def test_filters(opened: Opened) -> None:
    page = opened.page
    page.locator("#filters").get_by_label("Device").select_option("rpi4")
    assert page.locator("#matrix th.device").all_text_contents() == ["rpi4"]
    assert set(opened.column("#runs", "device")) == {"rpi4"}
    assert page.locator("#missing tbody tr").count() == 3
    page.get_by_label("Words").fill("FP16 ncnn ppocr")
    assert set(opened.column("#runs", "precision")) == {"fp16"}
    assert len(opened.column("#runs", "model")) == 2
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Validity").select_option("suspect")
    assert opened.column("#runs", "model") == ["blazeface"]
    page.get_by_label("Validity").select_option("emulated")
    assert set(opened.column("#runs", "device")) == {"lab-phone"}
    page.get_by_label("Validity").select_option("failed")
    assert page.locator("#runs .empty").count() == 1
    assert opened.column("#missing", "reason") == ["rpi4: the worker was killed (signal 9)"]
    page.get_by_role("button", name="Show all").click()
    assert len(opened.column("#runs", "model")) > 40


def test_tables_are_sorted_by_the_keyboard(opened: Opened, made: Any) -> None:
    page = opened.page
    for section, key in (("#runs", "median_ms"), ("#matrix", '["pixel7","ncnn"]')):
        head = page.locator(f"{section} th:has(button[data-sort='{key}'])")
        assert head.get_attribute("aria-sort") == "none"
        head.locator("button").focus()
        for direction in ("ascending", "descending"):
            page.keyboard.press("Enter")
            assert head.get_attribute("aria-sort") == direction
            assert page.evaluate("document.activeElement.dataset.sort") == key
    order = opened.column("#runs", "result")
    medians = [sorted(made.samples[name])[len(made.samples[name]) // 2] for name in order]
    assert medians == pytest.approx(sorted(medians, reverse=True), rel=0.05)
    assert page.locator("#matrix tbody th").first.text_content().startswith("ppocr-det")  # the slowest there


def test_raw_samples_are_behind_a_cell(opened: Opened, made: Any) -> None:
    page = opened.page
    sustained = page.locator("#matrix tr").filter(has=page.locator("th", has_text="sustained"))
    button = sustained.locator("button.cell")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    dialog.locator("svg path").first.wait_for(state="attached")
    dialog.locator("summary", has_text="Raw samples").click()
    told = dialog.locator("pre.samples").text_content()
    assert [int(word) for word in told.split()] == made.samples[made.sustained]
    command = dialog.locator("pre.command").text_content()
    assert command == (
        "edgeflow deploy zoo:pplcnet-orientation --device pixel7 --runtime ncnn --precision fp32 "
        "--threads 2 --mode sustained"
    )
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "cell"


def test_a_cell_of_several_rounds_leads_to_each(opened: Opened, made: Any) -> None:
    page = opened.page
    page.locator("#matrix td.best button.cell").first.click()
    links = page.locator("dialog[open] button.link")
    assert links.count() == 2
    name = links.first.text_content()
    links.first.click()
    page.locator("dialog summary", has_text="Raw samples").click()
    told = page.locator("dialog pre.samples").text_content()
    assert [int(word) for word in told.split()] == made.samples[name]


def test_a_link_to_a_result_opens_it(browser: Any, report: Path, made: Any) -> None:
    found = Opened(browser, report, address=f"#result={made.invalid}")
    try:
        text = found.page.locator("dialog[open]").text_content()
        assert made.invalid in text and "CI ±24 %" in text
        assert found.said == []
    finally:
        found.close()


def test_the_pareto_front_is_what_it_says(opened: Opened) -> None:
    page = opened.page
    front = page.locator("#pareto strong", has_text="On the front").locator("xpath=..")
    page.locator("#pareto select").nth(0).select_option("ppocr-det")
    assert front.text_content() == "On the front: ncnn · fp16 · quick; ncnn · fp32 · quick"
    page.get_by_label("Up (less is better)").select_option("peak_rss_bytes")
    assert front.text_content() == "On the front: ncnn · fp16 · quick"
    page.locator("#pareto select").nth(0).select_option("blazeface")
    assert front.text_content() == "On the front: ncnn · fp32 · quick"  # faster ones are not valid
    page.locator("#pareto select").nth(0).select_option("ppocr-det")
    page.locator("#pareto select").nth(1).select_option("lab-phone")
    assert front.text_content() == "On the front: nothing valid"


def test_a_phone_shows_it_without_sideways_scrolling(browser: Any, report: Path) -> None:
    found = Opened(browser, report, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    try:
        assert found.overflow() <= 0
        found.page.locator("button.cell").first.tap()
        found.page.locator("dialog button.link").first.tap()
        dialog = found.page.locator("dialog[open]")
        assert dialog.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
        assert dialog.bounding_box()["width"] <= 360
        assert found.said == []
    finally:
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(browser: Any, report: Path, scheme: str) -> None:
    found = Opened(browser, report, color_scheme=scheme, reduced_motion="reduce")
    try:
        assert found.page.evaluate(CONTRAST) == []
    finally:
        found.close()


def test_it_prints_without_what_only_a_screen_needs(opened: Opened) -> None:
    page = opened.page
    sheet = page.pdf(format="A4")
    assert sheet.startswith(b"%PDF") and len(sheet) > 20_000
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible() and not page.locator("nav").is_visible()
    assert page.locator("#matrix table").is_visible()
