"""The page about a segmentation in headless Chromium: real clicks, real WebGL (in software), no network, no errors."""

import csv
import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from chromium import BINARY, Browser
from PIL import Image
from segmented import make_segmentation

from lungseg_monai.report.segmentation import page, write_report

pytestmark = pytest.mark.skipif(BINARY is None, reason="needs Chromium")
SHOWN = "window.lungsegReport?.viewer.shown"
PLANES = "lungsegReport.viewer.planes"
SMALL = (960, 620)
ORANGE, BLUE = (230, 159, 0), (86, 180, 233)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = make_segmentation(tmp_path_factory.mktemp("page") / "OUT")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium"), *SMALL) as browser:
        yield browser


def opened(window: Browser, address: str) -> Iterator[Browser]:
    """The page with the first case shown and nothing decided; afterwards: no error was shown and no request made."""
    window.open(address)
    window.wait(f"{SHOWN} === 0")
    yield window
    window.evaluate("localStorage.clear()")
    assert window.errors == [] and window.requests == []


@pytest.fixture
def browser(window, out):
    yield from opened(window, (out / "report.html").as_uri())


@pytest.fixture
def light(window, out):
    """The page without WebGL, which takes its time in software, for all that is beside the pictures."""
    yield from opened(window, (out / "report.html").as_uri() + "?stills")


def item(number: int, rest: str = "") -> str:
    return f"#cases li[data-number='{number}'] {rest}".strip()


def volume(browser, n: int, what: str) -> float:
    return browser.evaluate(f"{PLANES}.volumes[{n}].{what}")


def pixels(browser) -> np.ndarray:
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB")).astype(int)


def part(browser, selector: str) -> np.ndarray:
    box = browser.evaluate(
        f"(b => [b.x, b.y, b.width, b.height])(document.querySelector('{selector}').getBoundingClientRect())"
    )
    x, y, width, height = map(round, box)
    return pixels(browser)[y : y + height, x : x + width]


def columns(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Of the pixels whose hue is about the colour's."""
    bright = picture.max(axis=-1, keepdims=True)
    wanted = np.array(colour) / max(colour)
    near = np.abs(picture / np.maximum(bright, 1) - wanted).max(axis=-1) < 0.22
    return np.argwhere(near & (bright[..., 0] > 80))[:, 1]


def test_choosing_a_case_shows_its_figures_and_volumes(browser):
    assert browser.evaluate("document.querySelector('#details h2').textContent").startswith("alarm")
    browser.click(item(5, ".choose"))
    browser.wait(f"{SHOWN} === 5")
    assert browser.evaluate("document.querySelector('#details h2').textContent").startswith("sure")
    text = browser.evaluate("document.querySelector('#measures').innerText")
    facts = browser.evaluate("lungsegReport.cases[5].facts")
    assert f"{facts['volumes_ml']['lung_right']:,.0f}" in text and "-812" in text and "0.998" in text
    shape = browser.evaluate(f"{PLANES}.volumes.map(v => v.dimsRAS.slice(1))")
    assert len(shape) == 2 and shape[0] == shape[1]
    browser.click(item(1))
    browser.wait(f"{SHOWN} === 1")
    assert browser.evaluate("document.querySelector('#nothing').innerText") == "slice 7 of 120 can't be decoded"


def test_windows_change_the_greys(browser):
    for name, low, high in (("mediastinum", -160, 240), ("bone", -450, 1050), ("lung", -1350, 150)):
        before = part(browser, "#planes")
        browser.click(f"[data-window={name}]")
        assert (volume(browser, 0, "cal_min"), volume(browser, 0, "cal_max")) == (low, high)
        assert np.abs(part(browser, "#planes") - before).mean() > 3
    browser.click(item(2))
    browser.click("[data-window=bone]")
    browser.wait(f"{SHOWN} === 2")
    assert volume(browser, 0, "cal_max") == 1050  # kept from case to case


def test_mask_outline_opacity_and_crosshair(browser):
    def coloured() -> int:
        picture = part(browser, "#planes")
        picture = picture[:, : picture.shape[1] // 2]  # beside the masks in 3D
        return len(columns(picture, ORANGE)) + len(columns(picture, BLUE))

    browser.click("#crosshair")
    assert browser.evaluate(f"{PLANES}.opts.crosshairWidth") == 0
    browser.click("#opacity", (0.9, 0.5))
    assert volume(browser, 1, "opacity") > 0.8
    full = coloured()
    browser.click("#outline")
    outlined = coloured()
    browser.click("#mask")
    assert volume(browser, 1, "opacity") == 0
    bare = coloured()
    assert full > 3000 and bare + 200 < outlined < full / 3, (full, outlined, bare)
    browser.key("m")
    browser.key("o")
    assert coloured() == pytest.approx(full, rel=0.02)


def test_uncertainty_is_a_layer_where_there_is_one(browser):
    def hot() -> int:
        picture = part(browser, "#planes")[:, : SMALL[0] // 4]
        return int((np.abs(picture - np.array([252, 255, 164])).max(axis=-1) < 60).sum())

    browser.click("#crosshair")
    assert volume(browser, 2, "opacity") == 0
    before = hot()
    browser.click("#uncertainty")
    assert volume(browser, 2, "opacity") > 0.5 and hot() > before + 100
    browser.key("u")
    assert hot() == pytest.approx(before, abs=20)
    assert "0.876" in browser.evaluate("document.querySelector('#measures').textContent")
    browser.click(item(2))
    browser.wait(f"{SHOWN} === 2")
    assert browser.evaluate(f"{PLANES}.volumes.length") == 2
    assert browser.evaluate("document.querySelector('#uncertainty').parentElement.hidden")


def test_right_is_where_the_letters_say_in_planes_and_in_3d(browser):
    browser.click("#crosshair")
    browser.click("#opacity", (0.9, 0.5))
    for view in ("axial", "coronal", "3d"):
        browser.click(f"[data-view='{view}']")
        picture = part(browser, "#stage")
        right, left = columns(picture, ORANGE), columns(picture, BLUE)
        assert len(right) > 1000 and len(left) > 1000, view
        assert np.percentile(right, 90) < np.percentile(left, 10), view
    browser.click("[data-view=axial]")
    browser.click("#planes canvas", (0.4, 0.5))
    assert browser.wait("document.querySelector('#where').textContent").split()[1] == "R"
    browser.click("#planes canvas", (0.6, 0.5))
    assert browser.wait("document.querySelector('#where').textContent").split()[1] == "L"


def test_the_wheel_goes_through_the_slices(browser):
    browser.click("[data-view=axial]")
    before = browser.evaluate(f"{PLANES}.scene.crosshairPos[2]")
    browser.wheel("#planes", (0.5, 0.5), 120)
    browser.wait(f"{PLANES}.scene.crosshairPos[2] !== {before}", 5)


def test_decisions_are_kept_and_saved(light, out):
    light.click(item(0, "[data-decision=accept]"))
    light.click(item(2, "[data-decision=reject]"))
    light.click(item(2, "[data-comment]"))
    light.type('apex, "cut"; <b>look</b>')
    light.key("Enter")
    light.click(item(5, "[data-decision=reject]"))
    light.click(item(5, "[data-decision=reject]"))  # taken back
    assert light.evaluate("document.querySelector('#progress').textContent") == "2 of 6 decided, 1 rejected"
    light.open((out / "report.html").as_uri() + "?stills")
    light.wait(f"{SHOWN} === 0")
    saved = light.download("#csv", "review.csv").decode()
    rows = list(csv.DictReader(io.StringIO(saved)))
    assert [row["case"] for row in rows] == ["alarm", "broken", "unsure", "mr", "calm", "sure"]
    assert [row["decision"] for row in rows] == ["accept", "", "reject", "", "", ""]
    assert rows[2]["comment"] == 'apex, "cut"; <b>look</b>' and rows[0]["comment"] == ""
    assert rows[0]["time"].endswith("Z") and rows[5]["time"] == ""
    assert float(rows[0]["look"]) > float(rows[5]["look"]) and rows[0]["reasons"] == "sides"
    assert light.evaluate(f'document.querySelector("{item(2, ".comment")}").value') == rows[2]["comment"]


def test_keys_go_through_the_cases_and_decide(light):
    for key, number in (("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        light.key(key)
        light.wait(f"{SHOWN} === {number}")
    light.key("a")
    light.key("j")
    light.key("r")
    light.key("2")
    assert light.evaluate("lungsegReport.cases.map((one, n) => lungsegReport.store.of(n).decision)") == [
        "accept", "reject", "", "", "", ""
    ]  # fmt: skip
    assert light.evaluate("lungsegReport.viewer.state.window") == "mediastinum"
    light.key("/")
    light.type("swapped")
    assert light.evaluate("[...document.querySelectorAll('#cases li:not([hidden])')].length") == 1
    light.key("r")  # a letter in the filter, no decision
    assert light.evaluate("lungsegReport.store.of(0).decision") == "accept"


def test_filters(light):
    def shown(which: str) -> list[int]:
        light.evaluate(
            f"(s => {{ s.value = '{which}'; s.dispatchEvent(new Event('change')); }})(document.querySelector('#which'))"
        )
        return light.evaluate("[...document.querySelectorAll('#cases li:not([hidden])')].map(e => +e.dataset.number)")

    light.click(item(3, "[data-decision=accept]"))
    assert shown("flagged") == [0, 2] and shown("undone") == [1, 3] and shown("accept") == [3]
    assert shown("undecided") == [0, 1, 2, 4, 5] and shown("") == [0, 1, 2, 3, 4, 5]


def test_decisions_about_another_result_are_not_carried_over(light, out):
    light.click(item(0, "[data-decision=accept]"))
    light.click(item(4, "[data-decision=reject]"))
    light.evaluate(
        "(key => { const all = JSON.parse(localStorage.getItem(key)); all.calm.result = 'other';"
        " localStorage.setItem(key, JSON.stringify(all)); })(lungsegReport.store.key)"
    )
    light.open((out / "report.html").as_uri() + "?stills")
    light.wait(f"{SHOWN} === 0")
    assert light.evaluate("[0, 4].map(n => lungsegReport.store.of(n).decision)") == ["accept", ""]


def test_stills_where_they_are_asked_for(light):
    assert light.evaluate("lungsegReport.viewer.planes") is None
    size = light.wait("(i => i.naturalWidth && [i.naturalWidth, i.clientWidth])(document.querySelector('#still img'))")
    assert size[0] > 500 and size[1] > 200
    light.key("j")
    light.key("j")
    light.wait(f"{SHOWN} === 2")
    assert "unsure" in light.evaluate("document.querySelector('#still img').alt")


def test_stills_where_webgl_is_missing(out, tmp_path):
    with Browser(tmp_path, *SMALL, "--disable-3d-apis") as browser:
        browser.open((out / "report.html").as_uri())
        browser.wait(f"{SHOWN} === 0")
        assert "WebGL" in browser.evaluate("document.querySelector('#banner').innerText")
        assert browser.wait("document.querySelector('#still img').naturalWidth") > 500
        browser.click(item(0, "[data-decision=accept]"))
        assert b"alarm,accept" in browser.download("#csv", "review.csv")
        assert browser.requests == []


def test_volumes_beside_the_page_are_fetched_when_chosen(browser, out, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_INLINE_BYTES", 0)
    path = write_report(out, tmp_path / "many cases.html")
    browser.open(path.as_uri())
    browser.wait(f"{SHOWN} === 0")
    assert browser.evaluate(f"{PLANES}.volumes.length") == 3  # image, labels, uncertainty
    browser.click(item(5))
    browser.wait(f"{SHOWN} === 5")
    (path.with_name("many cases_files") / "0002.js").write_text("lungsegCase('another report', 2, {})")
    browser.click(item(2))
    browser.wait(f"{SHOWN} === 2")
    assert "of another report" in browser.evaluate("document.querySelector('#nothing').innerText")


def test_nothing_can_be_fetched_from_the_page(light):
    tried = "fetch('https://example.org/x').then(() => 'fetched', () => 'refused')"
    assert light.evaluate(tried) == "refused"
    assert "Content Security Policy" in json.dumps(light.errors)
    light.errors.clear()
    light.requests.clear()


def test_it_fits_small_and_large_screens(light):
    for width, height in ((1280, 800), (1920, 1080), SMALL):
        light.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        size = light.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [width, height]
        assert light.evaluate("document.querySelector('#stage').clientHeight") > 0.65 * height
