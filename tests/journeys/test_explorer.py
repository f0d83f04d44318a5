"""The explorer in a real browser, clicked through as a reader would, on a tiny model."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Route,
    expect,
    sync_playwright,
)

from needlepoint._core.records import RunFolder
from needlepoint.explorer.live.jobs import Jobs
from needlepoint.explorer.live.service import LiveModel
from needlepoint.explorer.run_folders.library import Library
from needlepoint.explorer.server.app import create_app
from needlepoint.explorer.server.guard import Access
from needlepoint.models.model import Model
from needlepoint.report import build_report
from needlepoint.testing.browser import FLAGS
from needlepoint.testing.tiny import byte_tokenizer, tiny_model

pytestmark = pytest.mark.journey

ARTEFACTS = "NEEDLEPOINT_SCREENSHOTS"
"""Environment variable with the folder that pictures of the pages are kept in."""
NASTY = (
    '<script>window.pwned=1</script> "q" '
    "\u202e\u05e9\u05dc\u05d5\u05dd \U0001f469\u200d\U0001f52c a\u200bb"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, imported: Callable[[Path], ModuleType]) -> Path:
    sample = imported(Path(__file__).parents[1] / "report" / "sample_run.py")
    folder = tmp_path_factory.mktemp("explorer") / "runs"
    for name in ("first", "second"):
        sample.write_sample_run(folder / name)
    build_report(folder / "first")
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    model, folder = tiny_model("llama"), tmp_path_factory.mktemp("model") / "tiny"
    model.module.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return model, folder


@contextmanager
def serving(runs: Path, model_folder: tuple[Model, Path]) -> Iterator[str]:
    """The address of an explorer that runs for as long as it is needed."""
    model, folder = model_folder
    listener = socket.create_server(("127.0.0.1", 0))
    access = Access(port=listener.getsockname()[1])
    board = Jobs(str(folder), "float32", runs)
    app = create_app(Library([runs]), LiveModel(model, str(folder)), board, access)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield access.url.rstrip("/")
    server.should_exit = True
    thread.join(20)
    listener.close()


@pytest.fixture(scope="module")
def address(runs: Path, model_folder: tuple[Model, Path]) -> Iterator[str]:
    with serving(runs, model_folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1280, "height": 900})
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    with watched(context, address) as found:
        yield found


@contextmanager
def watched(context: BrowserContext, address: str) -> Iterator[Page]:
    """A page that must keep its console free of errors and ask nobody else for anything."""
    found = context.new_page()
    found.set_default_timeout(20_000)
    wrong: list[str] = []
    found.on("console", lambda one: wrong.append(one.text) if is_defect(one) else None)
    found.on("pageerror", lambda error: wrong.append(str(error)))

    def asked(request: object) -> None:
        url = str(getattr(request, "url", ""))
        if not url.startswith((address, "data:", "blob:")):
            wrong.append(f"asked for {url}")

    found.on("request", asked)
    yield found
    assert wrong == []
    assert found.evaluate("window.pwned") is None


def is_defect(message: ConsoleMessage) -> bool:
    """Whether a message is an error, and not the browser's note that a request was refused."""
    return message.type == "error" and "responded with a status of 4" not in message.text


def keep(page: Page, name: str) -> None:
    """Keep a picture of the page where pictures are asked for."""
    if folder := os.environ.get(ARTEFACTS):
        page.screenshot(path=Path(folder) / f"explorer-{name}.png", full_page=True)


def shown(page: Page) -> None:
    """Wait until the live page has its answer."""
    expect(page.locator("#result")).to_be_visible()
    expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")


def live(page: Page, address: str, query: str) -> None:
    page.goto(f"{address}/live?{query}")
    shown(page)


def test_open_a_run_and_its_report(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(".run")).to_have_count(2)
    page.get_by_label("Filter").fill("second")
    expect(page.locator(".run:visible")).to_have_count(1)
    expect(page.locator("#shown")).to_have_text("1 of 2 runs")
    page.get_by_label("Filter").fill("")
    keep(page, "runs")
    page.get_by_role("link", name="first", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("first")
    expect(page.locator("tbody tr").first).to_contain_text("L23.H3")
    keep(page, "run")
    page.get_by_role("link", name="open the report").click()
    expect(page.locator("#answers .question").first).to_contain_text("attention heads")
    page.locator("[data-figure]").first.scroll_into_view_if_needed()
    expect(page.locator("[data-figure] .main-svg").first).to_be_visible()
    cut_off = page.evaluate("() => { try { return localStorage.length } catch { return 'none' } }")
    assert cut_off == "none"


def test_search_pin_annotate_and_export(page: Page, address: str) -> None:
    page.goto(f"{address}/search")
    page.get_by_label("Words").fill("L23.H3 ioi")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Pin L23.H3 (ioi, first)").click()
    expect(page.get_by_role("button", name="Pin L23.H3 (ioi, first)")).to_have_text("pinned")
    expect(page.locator("[data-pin-count]")).to_have_text("1")
    keep(page, "search")
    page.get_by_role("link", name=re.compile("^Pins")).click()
    page.get_by_label("Note").fill(NASTY)
    page.reload()
    expect(page.get_by_label("Note")).to_have_value(NASTY)
    keep(page, "pins")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="export as JSON").click()
    path = Path(waiting.value.path())
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert [(pin["site"], pin["run"], pin["note"]) for pin in saved["pins"]] == [
        ("L23.H3", "first", NASTY)
    ]
    page.get_by_role("button", name="Unpin L23.H3").click()
    expect(page.locator(".pinned")).to_have_count(0)
    page.locator("#import").set_input_files(path)
    expect(page.get_by_label("Note")).to_have_value(NASTY)
    page.locator("#import").set_input_files(
        {"name": "x.json", "mimeType": "application/json", "buffer": b'{"pins": [1]}'}
    )
    expect(page.get_by_role("alert")).to_contain_text("holds no pins")


def test_compare_two_runs(page: Page, address: str) -> None:
    page.goto(address)
    for box in page.locator('[name="pick"]').all():
        box.check()
    page.get_by_role("button", name="compare two").click()
    expect(page.locator("#scatter .main-svg").first).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("rank correlation of 1.00")
    keep(page, "compare")
    page.get_by_label("Measure").select_option("mean_difference")
    page.wait_for_url("**measure=mean_difference**")
    expect(page.locator("#scatter .main-svg").first).to_be_visible()
    ink = "document.getElementById('scatter').layout.font.color"
    before = page.evaluate(ink)
    page.get_by_role("button", name="Switch to dark colours").click()
    assert page.evaluate(ink) != before
    page.get_by_label("Question of the first").select_option("probe.programming_language")
    expect(page.get_by_label("of the second")).to_have_value("probe.programming_language")
    expect(page.locator(".verdict")).to_contain_text("9 units in both runs")


def test_look_at_a_text_live(page: Page, address: str, model_folder: tuple[Model, Path]) -> None:
    model = model_folder[0]
    page.goto(f"{address}/live")
    page.get_by_label("Text", exact=True).fill("one two one two")
    page.get_by_label("Heads and neurons to look at").fill("L1.N7, l2.h3")
    page.keyboard.press("Enter")
    expect(page.locator("[data-unit='L1.N7'] .t")).to_have_count(16)
    with torch.no_grad():
        logits = model.logits(model.batch([model.encoder.encode("one two one two")]))[0]
    best = 100 * float(logits[-1].float().softmax(-1).max())
    expect(page.locator("#next tbody tr").first).to_contain_text(f"{best:.1f} %")
    page.locator("#tokens .tok").nth(3).click()
    expect(page.locator("#next-title")).to_have_text("After token 3, e")
    expect(page).to_have_url(re.compile("at=3"))
    page.keyboard.press("ArrowRight")
    expect(page.locator("#next-title")).to_contain_text("After token 4")
    expect(page.locator("#tokens .tok").nth(4)).to_be_focused()
    canvas = page.locator("[data-unit='L2.H3'] canvas")
    canvas.focus()
    page.keyboard.press("ArrowUp")
    expect(page.locator("[data-unit='L2.H3'] .reading")).to_contain_text("from e (3) to")
    page.keyboard.press("Enter")
    expect(page.locator("#next-title")).to_have_text("After token 3, e")
    page.get_by_role("button", name="Remove L1.N7").click()
    expect(page.locator("[data-unit='L1.N7']")).to_have_count(0)
    page.get_by_label("Heads and neurons to look at").fill("<b>")
    page.get_by_role("button", name="add").click()
    expect(page.get_by_role("alert")).to_contain_text("<b> is neither a head nor a neuron")


def test_ablate_and_share_the_view(page: Page, address: str, context: BrowserContext) -> None:
    page.goto(f"{address}/live?text=abab&site=L1.H2&site=L2.N5")
    shown(page)
    expect(page.locator("#metric")).to_contain_text("Nothing is edited")
    page.get_by_label("Edit L1.H2").select_option("zero")
    expect(page.locator("#next thead")).to_contain_text("with the edits")
    expect(page.locator("#metric")).to_contain_text("prediction moved by")
    page.get_by_text("A corrupt prompt, and right and wrong answers").click()
    page.get_by_label("Corrupt prompt, of as many tokens").fill("bbab")
    page.get_by_label("Right next token").fill("a")
    page.get_by_label("Wrong next token").fill("b|c")
    expect(page.locator("#metric")).to_contain_text("logit difference")
    page.get_by_label("Edit L2.N5").select_option("scale")
    page.get_by_label("Factor of L2.N5").fill("-3")
    expect(page).to_have_url(re.compile("L2.N5%3Ascale%3A-3"))
    page.locator("#tokens .tok").nth(2).click()
    expect(page).to_have_url(re.compile("at=2"))
    shown(page)
    keep(page, "live")
    before = [page.locator(place).inner_text() for place in ("#next", "#metric", "#tokens")]
    other = context.new_page()
    other.goto(page.url)
    shown(other)
    assert [
        other.locator(place).inner_text() for place in ("#next", "#metric", "#tokens")
    ] == before
    expect(other.get_by_label("Edit L1.H2")).to_have_value("zero")
    expect(other.get_by_label("Factor of L2.N5")).to_have_value("-3")
    other.get_by_label("Corrupt prompt, of as many tokens").fill("bbabb")
    expect(other.get_by_role("alert")).to_contain_text("clean has 4 tokens, corrupt 5")


def test_strange_text_shows_as_text(page: Page, address: str) -> None:
    page.goto(f"{address}/live")
    page.get_by_label("Text", exact=True).fill(NASTY)
    page.get_by_label("Heads and neurons to look at").fill("L0.N1")
    page.keyboard.press("Enter")
    expect(page.locator("[data-unit='L0.N1']")).to_be_visible()
    # a byte at a time, so that most signs are halves; the markup is whole
    text = "".join(page.locator("#tokens .tok").all_text_contents())
    assert '<script>window.pwned=1</script> "q"' in text
    page.goto(f"{address}/search?q=%3Cscript%3Ewindow.pwned%3D1%3C/script%3E%E2%80%AE")
    expect(page.get_by_text("Nothing was found for")).to_contain_text("\u27e8U+202E\u27e9")


def cut_short(status: int, body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, body=body)


def test_an_answer_that_is_cut_short_is_said(page: Page, address: str) -> None:
    live(page, address, "text=abab")
    for text, status, body, told in (
        ("one", 200, '{"tokens": ["a', "answer broke off"),
        ("two", 413, "<h1>no", "answered with status 413"),
        ("three", 409, '{"error": "the model is <b>elsewhere"}', "the model is <b>elsewhere"),
    ):
        page.route("**/api/read", cut_short(status, body))
        page.get_by_label("Text", exact=True).fill(text)
        expect(page.get_by_role("alert")).to_contain_text(told)
        page.unroute("**/api/read")
    page.get_by_label("Text", exact=True).fill("baba")
    shown(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_name_that_no_run_put_forward_can_be_looked_at(
    page: Page, address: str, model_folder: tuple[Model, Path]
) -> None:
    page.goto(f"{address}/search")
    page.get_by_label("Words").fill("l1.n7")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No run here has put L1.N7 forward.")).to_be_visible()
    offer = page.get_by_role("region", name="L1.N7")
    expect(offer).to_contain_text(f"needlepoint neuron L1.N7 --model {model_folder[1]}")
    keep(page, "named")
    page.get_by_label("Words").fill("L1.H9")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text(
        "L1.H9 does not exist: tiny llama has layers 0 to 2, and in each heads 0 to 3 and "
        "neurons 0 to 47."
    )
    page.go_back()
    offer.get_by_role("link", name="look at it live").click()
    expect(page.locator("[data-unit='L1.N7']")).to_be_visible()


def test_codes_that_a_run_recorded_are_shown(page: Page, address: str) -> None:
    page.goto(f"{address}/runs/first")
    page.get_by_label("Codes of L23.H3 on clean prompts alone").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("code 17 on 60 clean prompts, said at \u2423Mary\u202f9\u00d7")
    keep(page, "codes")


DIGITS = "\n".join(f"{n * 7919 % 100_003:010d} {n * 104_729 % 99_991:010d}" for n in range(60))
LETTERS = DIGITS.translate(str.maketrans("0123456789", "kaleidoscp"))


def pairs_it_answers(model: Model, n: int = 24) -> str:
    """Prompt pairs that differ in a letter before the last, so that only heads can tell them apart.

    The right answer is above the wrong one on the clean prompt, and less so on the corrupt one.
    """
    rng, rows = torch.Generator().manual_seed(0), []
    letters = [model.encoder.encode(chr(97 + one))[0] for one in range(26)]
    for _ in range(n):
        clean = "".join(map(chr, (torch.randperm(26, generator=rng)[:9] + 97).tolist()))
        texts = [clean, clean[:-2] + clean[0] + clean[-1]]
        batch = model.batch([model.encoder.encode(text) for text in texts])
        with torch.no_grad():
            logits = model.last_logits(batch).float()[:, letters]
        over = logits[:, :, None] - logits[:, None, :]  # each letter over each other one
        gap = (over[0] - over[1]).masked_fill(over[0] <= 0, float("-inf"))
        right, wrong = (chr(97 + one) for one in divmod(int(gap.argmax()), 26))
        row = {"clean": texts[0], "corrupt": texts[1], "answer": right, "wrong": wrong}
        rows.append(json.dumps(row))
    return "\n".join(rows)


def ended(page: Page, name: str) -> Locator:
    """The card of a study, when it is done."""
    card = page.locator(".job", has_text=name)
    expect(card).to_have_attribute("data-state", "done", timeout=120_000)
    return card


def test_pasted_examples_end_in_reports_and_a_cancelled_study_in_nothing(
    context: BrowserContext, tmp_path: Path, model_folder: tuple[Model, Path]
) -> None:
    with serving(tmp_path, model_folder) as address, watched(context, address) as page:
        page.goto(address)
        expect(page.locator(".nothing")).to_contain_text("There are no runs in")
        page.get_by_role("main").get_by_role("link", name="new study").click()
        probe = page.locator("#probe")
        probe.get_by_label("Name").fill("digits <b>")
        probe.get_by_label("Texts with the feature").fill(DIGITS)
        probe.get_by_role("button", name="find neurons").click()
        expect(page.get_by_role("alert")).to_contain_text("there are no texts without it")
        probe.get_by_label("Texts without it").fill(LETTERS)
        probe.get_by_role("button", name="find neurons").click()
        expect(page.locator(".job progress")).to_be_visible()
        keep(page, "studies")
        ended(page, "Neurons: digits_b").get_by_role("link", name="open its report").click()
        expect(page.locator("#answers .said")).to_contain_text("A single neuron of tiny is enough")
        page.go_back()
        circuit = page.locator("#circuit")
        circuit.get_by_label("Name", exact=True).fill("letters")
        circuit.get_by_label("Prompt pairs").fill(pairs_it_answers(model_folder[0]))
        circuit.get_by_role("button", name="find heads").click()
        card = ended(page, "Heads: letters")
        keep(page, "studies-done")
        card.get_by_role("link", name="its run").click()
        expect(page.locator(".said")).to_contain_text("of 12 heads of tiny matter")
        page.get_by_role("link", name="open the report").click()
        expect(page.locator("#answers .said")).to_contain_text("of 12 heads of tiny matter")
        page.goto(f"{address}/studies")
        probe.get_by_label("Name").fill("again")
        for name, text in (("with the feature", DIGITS), ("without it", LETTERS)):
            probe.get_by_label(f"Texts {name}").fill(text)
        probe.get_by_label("thorough").check()
        probe.get_by_role("button", name="find neurons").click()
        page.get_by_role("button", name="Cancel again").click()
        expect(page.locator(".job").first).to_contain_text("cancelled", timeout=20_000)
        page.get_by_role("link", name="Runs").click()
        expect(page.locator(".run h2")).to_have_text([re.compile("circuit"), re.compile("probe")])
    probed = next(tmp_path.glob("probe-*"))
    run = RunFolder.open(probed)
    assert run.header["status"] == "done"
    assert run.records()[0].summary["features"][0]["f1_one"]["estimate"] > 0.9
    assert run.header["command"].startswith(f"needlepoint probe --features {tmp_path}")
    assert len(list((tmp_path / "pasted").iterdir())) == 2


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Browser, address: str, colours: str
) -> None:
    """Of each page in full width; of what is as wide as the screen on a narrow one too."""
    context = browser.new_context(color_scheme=colours, bypass_csp=True)
    page = context.new_page()
    paths = ("/", "/runs/first", "/search?q=L2.H3", "/studies", "/pins")
    query = "text=abab&site=L1.H2:zero&site=L2.N5:scale:2&corrupt=bbab&answer=a&wrong=b"
    coloured = ("/compare?a=first&b=second", f"/live?{query}")  # in colours of their own
    for path in coloured if colours == "dark" else (*paths, *coloured):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(address + path)
        if "live" in path:
            shown(page)
        found = Axe().run(page)
        problems = [
            (one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]
        ]
        assert problems == [], path
        page.set_viewport_size({"width": 390, "height": 800})
        keep(page, f"narrow-{colours}-{re.split('[?/]', path)[1] or 'runs'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()
