from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import hepae
from hepae.comparison import compare_files
from hepae.validation.canvas import Style, save
from hepae.validation.report import PAGE_BYTES, ComparedColumn, ComparedFile, Page, Shown
from hepae.validation.residuals import ColumnResiduals

BYTES = {
    "file_original": 5000,
    "file_compressed": 2_500_000,
    "original": 3000,
    "compressed": 1000,
    "per_jet": 5.0,
    "ratio": 3.0,
}
HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(2)>"


def column(name, version="Restored", bound=None, *, relative=True, deviation=(0.0, 0.0), **numbers):
    values = dict.fromkeys(("max_abs", "max_rel", "mean", "median", "std", "p68", "p99"), 0.0001)
    values |= {"unit": "GeV", "violations": None, "non_finite": 0} | numbers
    return ComparedColumn(name, version, bound, ColumnResiduals(**values), 4567, relative, deviation)


def page(columns=(), figures=(), *, path="jets.root", versions=("Restored",), restored=(), without_figure=0):
    files = [
        ComparedFile("Original", path, 5000, "ab" * 32, {"tree": path}),
        *(
            ComparedFile(name, f"{name}.root", 2_500_000, "cd" * 32, restored=name in restored)
            for name in versions
        ),
    ]
    sizes = dict.fromkeys(versions, BYTES)
    return Page(1_234_567, 200, files, columns, sizes, figures, without_figure).render()


@pytest.fixture(scope="module")
def report(sample, codec, tmp_path_factory):
    """The page of a whole comparison of two versions."""
    folder = tmp_path_factory.mktemp("report")
    hepae.compress_file(sample, folder / "latents.root", codec)
    hepae.compress_file(sample, folder / "bounds.root", hepae.BoundedCodec())
    versions = [folder / "bounds.root", folder / "latents.root"]
    result = compare_files(sample, versions, folder / "out", style=Style(), report=True)
    return result.report


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system; the tests of the page skip, and say so, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    executable = next((path for path in found if path), None)
    if executable is None:
        pytest.skip("no Chromium here to open the page in: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # Containers have no sandbox of their own to give.
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser):
    """Open a page, watched: nothing may be requested but the page, and nothing be said on the console."""
    contexts, said, requested = [], [], []

    def show(path, *, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(path.as_uri())
        return tab

    yield show
    for context in contexts:
        context.close()
    assert said == []
    assert [url[:30] for url in requested if not re.match(r"data:|file:///[^?#]*\.html$", url)] == []


def test_every_image_shows_at_any_width(opened, report):
    for width in (1280, 400):
        tab = opened(report, width=width)
        images = tab.locator("main img").evaluate_all(
            "images => images.map(i => [i.complete && i.naturalWidth, i.clientWidth, i.alt, i.src.slice(0, 21)])"
        )
        assert len(images) == len(list(report.parent.glob("*.png"))) > 20
        for natural, shown, alt, source in images:
            assert natural >= 1200
            assert 300 < shown <= width
            assert len(alt) > 20
            assert source == "data:image/png;base64"
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.screenshot()[:4] == b"\x89PNG"


def cells(tab, table, position):
    return tab.locator(f"section:has(#{table}) tbody tr").evaluate_all(
        f"rows => rows.map(row => row.cells[{position}].dataset.value ?? row.cells[{position}].textContent.trim())"
    )


def test_tables_sort_by_mouse_and_keyboard(opened, report):
    tab = opened(report)
    before = cells(tab, "residuals", 5)
    button = tab.locator("section:has(#residuals) th button", has_text="σ")
    header = tab.locator("section:has(#residuals) th", has_text="σ")
    assert header.get_attribute("aria-sort") is None
    button.click()
    rising = cells(tab, "residuals", 5)
    assert rising == sorted(before, key=float) != before
    assert header.get_attribute("aria-sort") == "ascending"
    assert tab.locator("section:has(#residuals) tbody tr").count() == len(before) == 10
    tab.keyboard.press("Enter")
    assert cells(tab, "residuals", 5) == rising[::-1]
    assert header.get_attribute("aria-sort") == "descending"
    tab.keyboard.press("Space")
    assert cells(tab, "residuals", 5) == rising
    tab.locator("section:has(#residuals) th button", has_text="Violations").focus()
    tab.keyboard.press("Enter")
    counted = cells(tab, "residuals", 9)
    assert counted == ["0"] * 4 + [""] * 6  # what was not promised stands last, both ways
    tab.keyboard.press("Enter")
    assert cells(tab, "residuals", 9) == counted
    tab.locator("section:has(#certificate) th button", has_text="Column").click()
    assert cells(tab, "certificate", 0) == ["E"] * 2 + ["eta"] * 2 + ["mass"] * 2 + ["phi"] * 2 + ["pt"] * 2
    assert header.get_attribute("aria-sort") is None


def test_figures_enlarge_by_mouse_and_keyboard(opened, report):
    tab = opened(report)
    dialog, title = tab.locator("dialog"), tab.locator("#large-title")
    first, second = (tab.locator("button.enlarge").nth(i) for i in (0, 1))
    small = first.locator("img").evaluate("image => image.clientWidth")
    assert not dialog.is_visible()
    first.click()
    assert dialog.is_visible()
    assert title.text_content() == "pt: original and restored"
    assert tab.locator("#large-image").evaluate("image => image.clientWidth") > 1.5 * small
    assert tab.locator("#large-image").get_attribute("alt") == first.locator("img").get_attribute("alt")
    tab.get_by_role("button", name="Next").click()
    assert title.text_content() == "pt: residual"
    tab.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()
    assert second.evaluate("button => button === document.activeElement")
    tab.keyboard.press("Enter")
    assert title.text_content() == "pt: residual"
    tab.keyboard.press("ArrowRight")
    assert title.text_content() == "pt: residual against pt"
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    assert title.text_content().startswith("Latents") or title.text_content() == "Bytes of the coded columns"
    tab.keyboard.press("Escape")
    assert not dialog.is_visible()
    first.click()
    tab.mouse.click(3, 3)  # beside it
    assert not dialog.is_visible()


def test_light_and_dark_theme_and_print(opened, report):
    def back(tab):
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    tab = opened(report, color_scheme="dark")
    dark = back(tab)
    tab.get_by_role("button", name="Light theme").click()
    light = back(tab)
    assert light == "rgb(255, 255, 255)" != dark
    tab.get_by_role("button", name="Dark theme").click()
    assert back(tab) == dark
    tab.emulate_media(media="print")
    assert back(tab) == light
    assert not tab.locator("nav").is_visible()
    assert tab.pdf()[:4] == b"%PDF"
    assert back(opened(report, color_scheme="light")) == light


def test_it_reads_without_scripts_and_for_a_screen_reader(opened, report):
    tab = opened(report, java_script_enabled=False)
    assert tab.get_by_role("heading", level=1).count() == 1
    names = tab.get_by_role("heading", level=2).all_text_contents()
    assert names[:5] == [
        "Certificate",
        "What was compared",
        "Residuals",
        "Bounds beside resolutions",
        "Bytes",
    ]
    assert tab.get_by_role("row", name="mass").count() >= 4
    assert tab.get_by_role("button", name="Enlarge: Cut-flow").count() == 1
    assert not tab.get_by_role("button", name="Dark theme").is_visible()


def test_values_from_files_are_escaped(opened, tmp_path):
    (png, _) = save(Figure(figsize=(1, 1)), tmp_path / "figure")
    text = page(
        [column(HOSTILE, bound=HOSTILE, violations=3, unit=HOSTILE)],
        [Shown(HOSTILE, HOSTILE, HOSTILE, png)],
        path=HOSTILE,
    )
    assert HOSTILE not in text
    (tmp_path / "page.html").write_text(text)
    tab = opened(tmp_path / "page.html")
    assert tab.locator("h2", has_text=HOSTILE).count() == 1
    assert tab.locator("main img").count() == 1
    assert tab.locator("main img").get_attribute("alt") == HOSTILE
    assert tab.locator("script").count() == 1
    tab.locator("button.enlarge").click()
    assert tab.locator("#large-title").text_content() == HOSTILE
    tab.get_by_role("button", name="Close").click()
    tab.locator("section:has(#certificate) th button").first.click()


class Parsed(HTMLParser):
    """Identifiers and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "action", "srcset", "data"):
                self.links.append((tag, value))


def test_nothing_leads_out_of_the_page(report):
    text = report.read_text()
    parsed = Parsed(text)
    assert len(set(parsed.ids)) == len(parsed.ids)
    for tag, link in parsed.links:
        assert link.startswith("data:") or (tag == "a" and link[1:] in parsed.ids), link[:80]
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|@import|url\(", text)


def test_it_tells_what_was_compared(sample, report):
    import hashlib

    text = report.read_text()
    for path in (sample, report.parent.parent / "bounds.root", report.parent.parent / "latents.root"):
        assert str(path) in text
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    with hepae.open(report.parent.parent / "latents.root") as file:
        assert file.header.model_sha256 in text
    for told in (
        "collection: Jet",
        "hepae 0.",
        "uproot 5.",
        "1%+1MeV",
        "codec: latent",
        "✓ held by every jet",
    ):
        assert told in text
    assert "1 of 2 versions promises bounds, and every one held; 1 promises none." in text
    assert "<strong>bounds</strong>: ✓ every promised bound held (4 of 4)" in text
    assert re.search(
        r"<strong>latents</strong>: no bound is promised; (E|mass) is off by \d.* % \(68 %\)", text
    )
    assert "52\u202f385 jets in 20\u202f000 events" in text


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"bound": "0.1%", "violations": 0}, "✓ held by every jet"),
        ({"bound": "exact", "violations": 0}, "✓ every value kept"),
        ({"bound": "0.1%", "violations": 1234}, "✗ broken by 1\u202f234 of 4\u202f567 jets"),
        ({}, "none promised; 68 % within ±0.0001"),
        ({"max_abs": 0.0}, "none promised; all values are the same"),
        ({"max_abs": None, "p68": None, "non_finite": 9}, "none promised; 68 % within ±–"),
    ],
)
def test_verdicts(numbers, verdict):
    assert verdict in page([column("pt", **numbers)])


def test_the_summary():
    held, broken = column("pt", bound="1%", violations=0), column("eta", bound="1", violations=2)
    assert "No bound is promised; pt is off by 0.01 % (68 %).</strong>" in page([column("pt")])
    assert "✓ Every promised bound held (1 of 1).</strong>" in page([held, column("E")])
    text = page([held, broken, column("eta", "B")], versions=("Restored", "B"))
    assert "✗ 1 of 2 promised bounds broken.</strong>" in text
    assert "<strong>Restored</strong>: ✗ 1 of 2 promised bounds broken: eta (2 of 4\u202f567 jets)" in text
    assert "<strong>B</strong>: no bound is promised" in text
    assert "2.5 MB" in text
    assert "5 kB" in text


def test_each_version_is_summed_up_by_what_it_promises():
    """Three versions that promise nothing do not stand under the headline that the fourth one earned."""
    columns = [
        column("pt", "bounded", bound="0.1%", violations=0),
        column("pt", "latents", p68=0.02, deviation=(0.02, 0.1)),
        column("mass", "latents", p68=0.1523, deviation=(0.1523, 0.2)),
        column("eta", "back", relative=False, unit="", p68=0.02, deviation=(0.5, 0.5), non_finite=3),
        column("pt", "same", max_abs=0.0),
    ]
    versions = ("bounded", "latents", "back", "same")
    text = page(columns, versions=versions, restored=("back",))
    assert "1 of 4 versions promises bounds, and every one held; 3 promise none." in text
    assert 'class="summary none"' in text
    for told in (
        "<strong>bounded</strong>: ✓ every promised bound held (1 of 1)",
        "<strong>latents</strong>: no bound is promised; mass is off by 15 % (68 %)",
        "<strong>back</strong>: a restored file does not know its bounds; eta is off by 0.02 (68 %); "
        "3 residuals are not finite",
        "<strong>same</strong>: no bound is promised; all values are the same",
    ):
        assert f"{told}</li>" in text
    assert "None of the 2 versions promises a bound." in page(
        [column("pt", "a"), column("pt", "b")], versions=("a", "b")
    )
    both = [column("pt", name, bound="1%", violations=0) for name in ("a", "b")]
    assert "✓ Every promised bound held (2 of 2)." in page(both, versions=("a", "b"))


def test_the_page_stays_below_its_size(tmp_path):
    """Figures that do not fit are left out, and counted."""
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (900, 1200, 3), np.uint8))
    noise.save(tmp_path / "noise.png")
    figures = [Shown("pt", f"figure {i}", "noise", tmp_path / "noise.png") for i in range(12)]
    text = page([column("pt")], figures, without_figure=301)
    assert 8_000_000 < len(text.encode()) < PAGE_BYTES
    shown = text.count("data:image/png")
    assert 0 < shown < 12
    assert f"{12 - shown} figures did not fit on this page; they are in its folder." in text
    assert "301 columns that changed have no figure" in text
    assert "--all-figures" in text
