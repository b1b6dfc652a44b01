"""The page in a real browser, light and dark, on a laptop and a phone: pictures, console, overflow, contrast, keyboard.

Chromium is driven through its DevTools protocol, over one websocket: no further package, no network.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from pipeline.report.write import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium): the page is not rendered"
)

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--remote-debugging-port=0"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
ANSWER_LIMIT_S = 60
SIZES = {"phone": (390, 844), "laptop": (1280, 800)}

LAYOUT = """(() => {
  const root = document.documentElement, all = [...document.querySelectorAll('body *')];
  const wide = all.filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > root.clientWidth + 1 && !e.closest('nav, pre, .scroll, .skip, .cards');
  });
  const small = all.filter((e) => e.children.length === 0 && e.textContent.trim() && e.getClientRects().length
    && e.namespaceURI.endsWith('xhtml') && parseFloat(getComputedStyle(e).fontSize) < 10.5);
  const images = [...document.images];
  return {
    images: images.length, loaded: images.filter((image) => image.complete && image.naturalWidth > 0).length,
    overflow: root.scrollWidth - root.clientWidth,
    wide: wide.map((e) => e.outerHTML.slice(0, 120)), small: small.map((e) => e.outerHTML.slice(0, 120)),
  };
})()"""

CONTRAST = """(() => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const luminance = (color) => color.map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const tag = e.parentElement && e.tagName === 'text' ? e.parentElement.querySelector('.tag') : null;
      const color = rgba(tag ? getComputedStyle(tag).fill : getComputedStyle(e).backgroundColor);
      layers.unshift(color);
      if (color[3] === 1) break;
    }
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), svg = element.namespaceURI.endsWith('svg');
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= parseFloat(getComputedStyle(e).opacity);
    const under = ground(element), ink = rgba(svg ? style.fill : style.color);
    const [low, high] = [luminance(over([...ink.slice(0, 3), ink[3] * opacity], under)), luminance(under)]
      .sort((a, b) => a - b);
    const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
    const needed = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    found.push({ratio: (high + 0.05) / (low + 0.05), needed, what: element.outerHTML.slice(0, 120)});
  }
  return {count: found.length, poor: found.filter((f) => f.ratio < f.needed),
          page: getComputedStyle(document.body).backgroundColor};
})()"""

FOCUSED = """(() => {
  const e = document.activeElement, style = getComputedStyle(e.type === 'radio' ? e.nextElementSibling : e);
  const box = e.getBoundingClientRect();
  return {
    place: [...document.querySelectorAll('*')].indexOf(e), name: e.id || e.getAttribute('href') || e.tagName,
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    seen: box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight,
  };
})()"""

FOCUSABLE = """[...document.querySelectorAll('a[href], summary, input:checked, [tabindex="0"]')]
  .filter((e) => e.checkVisibility()).map((e) => [...document.querySelectorAll('*')].indexOf(e))"""


class Browser:
    """One headless Chromium with one tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its result; events on the way are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, **self._session}))
        while True:
            message = json.loads(self._socket.recv(ANSWER_LIMIT_S))
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def quit(self) -> None:
        """Ask it to end; there is nothing to wait for, it may hang up without an answer."""
        self._socket.send(json.dumps({"id": 0, "method": "Browser.close"}))

    def wait_for(self, event: str) -> None:
        while not any(message.get("method") == event for message in self.events):
            self.events.append(json.loads(self._socket.recv(ANSWER_LIMIT_S)))

    def show(self, page: Path, size: tuple[int, int], scheme: str) -> None:
        """Open a file in a window of that size, for a reader whose system prefers that color scheme."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in media.items()])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; promises are waited for."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13, "ArrowRight": 39}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def complaints(self) -> list[str]:
        """Console messages, exceptions, failed and outside requests since the page was opened."""
        loud = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed"}
        found = [json.dumps(event["params"])[:500] for event in self.events if event.get("method") in loud]
        asked = [event["params"]["request"]["url"] for event in self.events if "request" in event.get("params", {})]
        return found + [url[:200] for url in asked if not url.startswith(("file:", "data:"))]


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile; it ends with the block."""
    assert CHROMIUM
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            with connect(_address(process), max_size=None, open_timeout=ANSWER_LIMIT_S) as socket:
                browser = Browser(socket)
                yield browser
                browser.quit()
                process.wait(ANSWER_LIMIT_S)  # with all its children: nothing writes into the profile any more
        finally:
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    """Where it listens, as it says itself."""
    said = []
    for line in process.stderr or ():
        said.append(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError(f"chromium did not start: {''.join(said)[-2000:]}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with started(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(full_shop_in, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with something in every section, long words included."""
    shop, run_id = full_shop_in(tmp_path_factory.mktemp("shop"))
    write_report(shop.settings)
    return shop.reports / f"{run_id}.html"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_browser_shows_both_pages_without_complaint_in_light_and_dark(browser, report, size):
    for page in (report, report.with_name("index.html")):
        grounds = set()
        for scheme in ("light", "dark"):
            browser.show(page, size, scheme)
            browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            layout = browser.ask(LAYOUT)
            assert layout["images"] == layout["loaded"]
            assert (layout["overflow"], layout["wide"], layout["small"]) == (0, [], [])
            contrast = browser.ask(CONTRAST)
            assert contrast["poor"] == []
            assert contrast["count"] > 5
            grounds.add(contrast["page"])
            assert browser.complaints() == []
        assert len(grounds) == 2
    browser.show(report, size, "light")
    assert browser.ask("document.images.length") > 8


def test_the_switch_overrules_the_system_in_every_text(browser, report):
    browser.show(report, SIZES["laptop"], "light")
    light = browser.ask(CONTRAST)["page"]
    browser.ask("document.getElementById('theme-dark').focus()")
    browser.ask("document.getElementById('theme-dark').click()")
    dark = browser.ask(CONTRAST)
    assert (dark["page"] != light, dark["poor"]) == (True, [])
    browser.show(report, SIZES["laptop"], "dark")
    browser.ask("document.getElementById('theme-light').click()")
    assert browser.ask(CONTRAST)["page"] == light


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_tab_reaches_everything_in_the_order_of_the_page(browser, report, size):
    browser.show(report, size, "light")
    expected = browser.ask(FOCUSABLE)
    reached = []
    for _ in expected:
        browser.press("Tab")
        found = browser.ask(FOCUSED)
        assert found["ring"], found
        assert found["seen"], found
        reached.append(found)
    assert reached[0]["name"] == "#main"
    assert [found["place"] for found in reached] == expected


def test_the_skip_link_and_the_switch_work_by_keyboard(browser, report):
    browser.show(report, SIZES["laptop"], "light")
    browser.press("Tab")
    browser.press("Enter")
    assert browser.ask("document.activeElement.id") == "main"
    browser.show(report, SIZES["laptop"], "light")
    before = browser.ask(CONTRAST)["page"]
    for _ in range(3):
        browser.press("Tab")
    assert browser.ask("document.activeElement.id") == "theme-auto"
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert browser.ask("document.activeElement.id") == "theme-dark"
    assert browser.ask(CONTRAST)["page"] != before
