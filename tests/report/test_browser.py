"""The page in a real browser, with the network cut: what a reader sees and does."""

import csv
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan import TrainSettings, train_run
from wassergan.callbacks import Callback, CallbackList
from wassergan.cli.main import main
from wassergan.runs.live import LivePage
from wassergan.runs.recorder import write_run_report

playwright = pytest.importorskip("playwright.sync_api")

DESKTOP, PHONE = (1280, 900), (390, 844)
LARGEST = 5_000_000  # bytes

ALL_DRAWN = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))"
# Text that a reader cannot see whole: beyond the window, a box that cuts it, or the drawing that it stands in. What
# lies in a box that scrolls, in a folded part or in what is read to the blind alone is not meant.
CLIPPED = """() => {
    const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode, holder = node.parentElement;
        if (!node.data.trim() || holder.closest("script, style, .skip, .hoverlayer, .modebar")) continue;
        if (!holder.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) {
            if (box.width === 0) continue;
            let left = 0, right = document.documentElement.clientWidth, top = -Infinity, bottom = Infinity;
            for (let each = holder; each && each !== document.body; each = each.parentElement) {
                const style = getComputedStyle(each), around = each.getBoundingClientRect();
                if (["auto", "scroll"].includes(style.overflowX)) { left = -Infinity; right = Infinity; break; }
                const box_cuts = style.overflowX !== "visible" || style.overflowY !== "visible";
                if (each.matches("svg") || (box_cuts && style.display !== "inline")) {
                    left = Math.max(left, around.left); right = Math.min(right, around.right);
                    top = Math.max(top, around.top); bottom = Math.min(bottom, around.bottom);
                }
            }
            if (box.left < left - 1 || box.right > right + 1 || box.top < top - 2 || box.bottom > bottom + 2) {
                found.push(node.data.trim().slice(0, 60));
                break;
            }
        }
    }
    return found;
}"""

# Words of cells that are broken though they need not be: of at most twelve letters, and the cell is narrower.
BROKEN = """() => {
    const ruler = document.createElement("span"), broken = [];
    ruler.style.cssText = "position: absolute; visibility: hidden; white-space: pre";
    for (const cell of document.querySelectorAll("th, td")) {
        if (!cell.checkVisibility()) continue;
        cell.append(ruler);
        for (const word of cell.innerText.split(/\\s+/).filter(each => each.length <= 12)) {
            ruler.textContent = word;
            if (ruler.getBoundingClientRect().width > cell.clientWidth + 1) { broken.push(word); break; }
        }
        ruler.remove();
    }
    return broken;
}"""
# Titles of vertical axes that lie on the numbers of their axis.
HIDDEN_TITLES = """() => [...document.querySelectorAll(".plot")].filter(plot => {
    const title = plot.querySelector(".ytitle").getBoundingClientRect();
    return [...plot.querySelectorAll(".ytick text")].some(each => {
        const box = each.getBoundingClientRect();
        return box.left < title.right && box.top < title.bottom && title.top < box.bottom;
    });
}).map(plot => plot.id)"""
HOSTILE = (
    *("c" * 200, "עלות חודשית (₪)", "📈🧪 emoji", "<script>document.title='run'</script>", "\u202eoverride", "تكلفة"),
    *('it\'s "quoted" & more; {{ 7*7 }}', "列" * 60, "$E=mc^2$", "a%sb"),
    *(f"column {i} of a wide table {'x' * (i % 5 * 20)}" for i in range(50)),
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; `make test` installs it."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium: `make test` installs it from Debian's packages, or set CHROMIUM to one")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Callable[..., Any]:
    """Open a page from disk without a network; anything on the console fails the test."""

    @contextmanager
    def open_page(
        path: Path, size: tuple[int, int] = DESKTOP, *, said_by: str = "", drawn: bool = True, **options: Any
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, offline=True, reduced_motion="no-preference", **options
        )
        page, said = context.new_page(), []
        page.add_init_script(said_by)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(path.as_uri())
        for name in page.eval_on_selector_all(".plot", "plots => plots.map(plot => plot.id)") if drawn else ():
            page.wait_for_selector(f"#{name} .main-svg", state="attached")
        yield page
        context.close()
        assert said == []

    return open_page


@pytest.fixture
def report(judged_run: Path, tmp_path: Path) -> Path:
    return write_run_report(judged_run, tmp_path / "report.html")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_fits_the_screen_and_draws_every_chart(
    opened: Callable[..., Any], report: Path, size: tuple[int, int]
) -> None:
    assert report.stat().st_size < LARGEST
    with opened(report, size) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        names = page.eval_on_selector_all(".plot", "plots => plots.map(plot => plot.id)")
        assert {"plot-sliced", "plot-gap", "plot-slope"} <= set(names)
        assert page.evaluate(HIDDEN_TITLES) == []
        for name in names:
            assert page.locator(f"#{name} .scatterlayer .trace").count() >= 1
            box = page.locator(f"#{name}").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= size[0] and box["height"] > 200


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_s_page_fits_the_screen(
    opened: Callable[..., Any],
    judged_run: Path,
    tmp_path: Path,
    write_table_metrics: Callable[[Path, str], None],
    size: tuple[int, int],
    scheme: str,
) -> None:
    write_table_metrics(judged_run, "<b>a_column_with_a_long_name_without_any_gap</b>")
    with opened(write_run_report(judged_run, tmp_path / "table.html"), size, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        pair = page.locator(".pairs figure").bounding_box()
        assert pair["x"] >= 0 and pair["x"] + pair["width"] <= size[0]
        assert page.locator(".pairs img").evaluate("picture => picture.naturalWidth") == 40
        names = page.eval_on_selector_all(".anchored tbody th", "cells => cells.map(cell => cell.clientWidth)")
        assert min(names) >= 80  # a name is not broken letter by letter
        assert page.locator(".anchored thead th").nth(3).text_content() == "Independent"


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_captions_of_broad_tables_are_in_view(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    """A monitor's page: its tables are broader than a phone, what they are is not."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(40, 2)))
    files = [str(tmp_path / f"{name}.npy") for name in ("a", "b", "b")]
    assert main(["watch", *files, "--permutations", "19", "--page", str(tmp_path / "page.html")]) == 0
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto((tmp_path / "page.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    ends = page.eval_on_selector_all("caption", "all => all.map(each => each.getBoundingClientRect().right)")
    assert len(ends) >= 3 and max(ends) <= size[0]
    page.close()


def test_the_slider_shows_the_grid_of_its_step(opened: Callable[..., Any], report: Path) -> None:
    colour = """async () => {
        const picture = document.getElementById("grid"), pen = document.createElement("canvas").getContext("2d");
        await picture.decode();
        pen.drawImage(picture, 0, 0);
        return [...pen.getImageData(5, 5, 1, 1).data];
    }"""

    with opened(report) as page:
        picture, slider = page.locator("#grid"), page.locator("#tick")

        def is_at(step: int, pixel: list[int]) -> None:
            page.locator("#step", has_text=f"step {step}").wait_for()
            assert picture.get_attribute("alt") == f"Samples of the averaged generator at step {step}"
            assert slider.get_attribute("aria-valuetext") == f"step {step}"
            assert page.evaluate(colour)[:3] == pixel

        is_at(100, [255, 255, 255])
        slider.focus()
        page.keyboard.press("ArrowLeft")
        is_at(50, [255, 0, 0])
        page.keyboard.press("Home")
        is_at(0, [0, 0, 0])
        page.locator("#play").click()
        page.locator("#play", has_text="Pause").wait_for()
        page.locator("#play", has_text="Play").wait_for()
        is_at(100, [255, 255, 255])


def test_a_curve_tells_its_values_and_zooms(opened: Callable[..., Any], report: Path) -> None:
    with opened(report) as page:
        plot = page.locator("#plot-slope")
        plot.scroll_into_view_if_needed()
        box = page.locator("#plot-slope .nsewdrag").first.bounding_box()
        middle = box["y"] + box["height"] / 2
        last = page.evaluate("(plot => plot._fullLayout.xaxis.d2p(plot.data[0].x.at(-1)))(document.all['plot-slope'])")
        page.mouse.move(box["x"] + last, middle)
        page.wait_for_selector("#plot-slope .hoverlayer .legend", state="attached")
        assert "largest seen" in plot.locator(".hoverlayer").text_content()
        whole = page.evaluate("document.getElementById('plot-slope').layout.xaxis.range")
        page.mouse.move(box["x"] + box["width"] * 0.3, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, middle, steps=5)
        page.mouse.up()
        page.wait_for_timeout(300)
        zoomed = page.evaluate("document.getElementById('plot-slope').layout.xaxis.range")
        assert zoomed[1] - zoomed[0] < 0.6 * (whole[1] - whole[0])
        page.locator("[data-reset=slope]").click()
        again = page.evaluate("document.getElementById('plot-slope').layout.xaxis.range")
        assert again == whole


def test_lines_are_switched_by_the_keyboard_and_stay_off(opened: Callable[..., Any], report: Path) -> None:
    shown = "document.getElementById('plot-gap').data.map(line => line.visible ?? true)"
    with opened(report) as page:
        button = page.locator("[data-chart=gap][data-series='1']")
        button.focus()
        page.keyboard.press("Enter")
        assert button.get_attribute("aria-pressed") == "false" and page.evaluate(shown) == [True, False]
        page.locator("[data-axis=seconds]").click()
        assert page.evaluate("document.getElementById('plot-gap').layout.xaxis.title.text") == "seconds of training"
        assert page.evaluate(shown) == [True, False]
        page.locator("[data-axis=log]").click()
        assert page.evaluate("document.getElementById('plot-gap').layout.xaxis.type") == "log"
        button.click()
        assert page.evaluate(shown) == [True, True]


def test_light_and_dark_follow_the_system_and_the_reader(opened: Callable[..., Any], report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.getElementById('plot-gap').layout.font.color"
    with opened(report, color_scheme="dark") as page:
        dark = page.evaluate(ground), page.evaluate(ink)
        page.locator("#theme").click()
        light = page.evaluate(ground), page.evaluate(ink)
        assert all(one != other for one, other in zip(dark, light, strict=True))
    with opened(report, color_scheme="light") as page:
        assert (page.evaluate(ground), page.evaluate(ink)) == light


def test_everything_can_be_reached_and_has_a_name(opened: Callable[..., Any], report: Path) -> None:
    nameless = """[...document.querySelectorAll("img, button, input, [role=img]")].filter(each =>
        !(each.alt || each.textContent.trim() || each.getAttribute("aria-label"))).map(each => each.outerHTML)"""
    with opened(report, PHONE) as page:
        assert page.evaluate(nameless) == []
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        levels = page.eval_on_selector_all("h1, h2, h3", "all => all.map(each => Number(each.tagName[1]))")
        assert levels[0] == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_hostile_names_do_not_run(
    opened: Callable[..., Any], judged_run: Path, tmp_path: Path, write_metrics: Callable[..., None]
) -> None:
    hostile = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script>"
    write_metrics(judged_run, verdict={"sentence": hostile, "flags": []})
    with opened(write_run_report(judged_run, tmp_path / "hostile.html")) as page:
        assert page.locator("#verdict").inner_text() == hostile
        assert page.title().endswith("wassergan")


@pytest.fixture
def hostile_pages(
    judged_run: Path,
    tmp_path: Path,
    write_metrics: Callable[..., None],
    metrics_of_a_table: Callable[[str], dict[str, Any]],
    numbers: np.random.Generator,
) -> dict[str, Path]:
    """The pages of a run on, and of a change in, a table with sixty columns of hostile names."""
    found, data = metrics_of_a_table(HOSTILE[0]), tmp_path / "a <b>name & 'more'.csv"
    kinds = {"columns": [found["columns"][0] | {"name": name} for name in HOSTILE]}
    kinds["pairs"] = [found["pairs"][0] | {"columns": pair} for pair in (HOSTILE[:2], HOSTILE[7:9])]
    notes = [row | {"note": f"column {HOSTILE[14]}; mean over columns 0.1"} for row in found["metrics"]]
    write_metrics(judged_run, **found | kinds | {"metrics": notes})
    values = numbers.normal(size=(40, len(HOSTILE))).round(2)
    for file, shift in ((tmp_path / "reference.csv", 0.0), (data, 3.0)):
        with file.open("w", newline="", encoding="utf-8") as opened:
            csv.writer(opened).writerows([HOSTILE, *(values + shift).round(2).tolist()])
    files = [str(tmp_path / "reference.csv"), str(data)]
    assert main(["watch", *files, "--permutations", "19", "--page", str(tmp_path / "watch.html")]) in (0, 3)
    return {"run": write_run_report(judged_run, tmp_path / "run.html"), "watch": tmp_path / "watch.html"}


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_hostile_names_leave_the_pages_whole(
    opened: Callable[..., Any], hostile_pages: dict[str, Path], size: tuple[int, int]
) -> None:
    for path in hostile_pages.values():
        for scheme in ("light", "dark"):
            with opened(path, size, color_scheme=scheme) as page:
                page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
                assert page.evaluate(CLIPPED) == [] and page.evaluate(BROKEN) == []
                assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
                assert "wassergan" in page.title() and page.locator("th >> text=<script>").count() >= 1
                rows = page.eval_on_selector_all("tr", "rows => rows.map(row => row.getBoundingClientRect().height)")
                assert max(rows) < 700  # names of 200 letters fill some lines, not a letter each


def test_broken_words_are_seen(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(
        "<table style='width: 90px; table-layout: fixed; overflow-wrap: anywhere'><tr><td>unchanged<td>a b<td>"
        f"{'c' * 200}</table>"
    )
    assert page.evaluate(BROKEN) == ["unchanged"]
    page.close()


@pytest.fixture(scope="module")
def real_pages(
    tmp_path_factory: pytest.TempPathFactory, quick_judges_of_module: None, real_figures: None
) -> dict[str, Path]:
    """Pages of runs on pictures, on a table and on series, judged by the command line."""
    folder, rng = tmp_path_factory.mktemp("real"), np.random.default_rng(0)
    rows = "".join(f"{rng.normal(40, 9):.1f},{['nurse', 'clerk', 'teacher'][rng.integers(3)]}\n" for _ in range(300))
    (folder / "people.csv").write_text(f"a_number_whose_name_has_no_gap_at_all,job\n{rows}")
    np.save(folder / "waves.npy", np.sin(rng.uniform(0, 6, (200, 1, 2)) + np.arange(8)[:, None]).astype("float32"))
    data = {"digits": ["digits"], "table": [str(folder / "people.csv")], "series": [str(folder / "waves.npy")]}
    data["series"] += ["--layout", "NTC"]
    for kind, words in data.items():
        assert main(["train", *words, "--steps", "20", "--tick-steps", "10", "--out", str(folder / kind)]) == 0
        assert main(["evaluate", str(folder / kind), "--count", "200"]) == 0
    return {kind: folder / kind / "report.html" for kind in data}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("kind", ["digits", "table", "series"])
def test_no_text_is_clipped(
    opened: Callable[..., Any], real_pages: dict[str, Path], kind: str, size: tuple[int, int], scheme: str
) -> None:
    assert real_pages[kind].stat().st_size < LARGEST
    with opened(real_pages[kind], size, color_scheme=scheme) as page:
        assert page.evaluate(CLIPPED) == []
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate(CLIPPED) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.locator("section[aria-labelledby=curves-title] svg text").count() > 10  # these were looked at


def test_text_that_is_clipped_is_seen(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 300, "height": 300})
    page.set_content(
        "<p style='width: 20px; overflow: hidden; white-space: nowrap'>cut by its box</p>"
        "<p style='width: 900px'>so wide that it ends beyond a window of three hundred pixels, which it may not</p>"
        "<svg width=40 height=20><text y=15>beyond its drawing</text></svg>"
        "<div style='overflow-x: auto'><p style='width: 900px'>in a box that scrolls to where the words go on</p></div>"
        "<p>whole</p>"
    )
    assert [each.split()[0] for each in page.evaluate(CLIPPED)] == ["cut", "so", "beyond"]
    page.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_of_a_real_run_is_whole(
    opened: Callable[..., Any], real_pages: dict[str, Path], size: tuple[int, int]
) -> None:
    with opened(real_pages["digits"], size) as page:
        for name in ("sliced", "gap", "slope", "losses"):
            assert page.locator(f"#plot-{name} .scatterlayer .trace").count() >= 1
        assert page.locator("#step").inner_text() == "step 20"
        last = page.locator("#grid").get_attribute("src")
        page.locator("#tick").focus()
        page.keyboard.press("Home")
        page.locator("#step", has_text="step 0").wait_for()
        assert page.locator("#grid").get_attribute("src") != last
        page.keyboard.press("End")
        page.locator("#step", has_text="step 20").wait_for()
        assert page.locator("#grid").get_attribute("src") == last
        rows = page.locator("section[aria-labelledby=metrics-title] tbody tr")
        assert rows.count() >= 10 and "Patch-sliced W1" in rows.first.inner_text()
        copies = page.locator("section[aria-labelledby=copies-title] img")
        assert copies.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 50


def test_charts_are_drawn_one_by_one_and_all_before_printing(opened: Callable[..., Any], report: Path) -> None:
    never = "window.requestIdleCallback = () => {}"
    with opened(report, PHONE, said_by=never, drawn=False) as page:
        below = page.locator("#plot-losses")
        assert below.locator(".main-svg").count() == 0
        below.scroll_into_view_if_needed()
        page.wait_for_selector("#plot-losses .main-svg")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(ALL_DRAWN)


def test_a_run_is_shown_while_it_trains(
    browser: Any, points_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser asks again by itself, shows the last step, and keeps the page when the run is over."""
    monkeypatch.setattr("wassergan.runs.live.REFRESH_SECONDS", 1)
    monkeypatch.setattr("wassergan.runs.live.PAGE_SHARE", 1e9)
    page, live, seen = browser.new_page(), LivePage(), []

    class Reader(Callback):
        def on_tick(self, record: Any) -> None:
            if record["step"] == 0:
                page.goto(live.address)
            else:
                page.wait_for_selector(f".facts >> text='{record['step']} steps'")
            seen.append(page.locator(".facts li").nth(3).inner_text())

        def on_close(self) -> None:
            # The browser belongs to this thread: it goes on while the server waits in another.
            self.ended = threading.Thread(target=live.on_close)
            self.ended.start()
            while self.ended.is_alive():
                page.wait_for_timeout(50)

    reader = Reader()
    settings = TrainSettings(str(points_file), latent_dim=3, batch_size=8, tick_steps=2, steps=4, tensorboard=False)
    train_run(settings, tmp_path / "run", callback=CallbackList(live, reader))
    assert seen == ["0 steps", "2 steps", "4 steps"] and live.address == ""
    page.wait_for_timeout(1500)  # it asks no more: nobody would answer
    assert page.locator(".facts li").nth(3).inner_text() == "4 steps"
    page.close()


# Names come from data, and data from strangers.
def test_markup_in_names_is_shown_and_not_run(
    opened: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    column, attack = "<script>alert(1)</script>", "<img src=x onerror=alert(2)>"
    folder = tmp_path / "a<"
    folder.mkdir()
    data = folder / f"script>{attack}.csv"  # the path as a whole ends a script element
    data.write_text(f"{column},{attack}\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(60)))
    run = tmp_path / "run"
    assert main(["train", str(data), "--out", str(run), "--steps", "3", *tiny]) == 0
    # A notice on the console, which fails the test, is all that the attack would do.
    with opened(run / "report.html", said_by="window.alert = message => console.log(message)") as page:
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        assert attack in page.inner_text("body")
