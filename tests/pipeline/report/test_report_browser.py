"""The page in a real browser: images load, nothing overflows on a phone, the console stays silent."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from pipeline.report.write import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page is not rendered")

HARNESS = """<!doctype html><meta charset="utf-8">
<iframe id="page" src="{source}" width="{width}" height="900"></iframe><pre id="found"></pre><script>
document.getElementById('page').onload = async (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const images = [...page.images];
  await Promise.all(images.map((image) => image.decode().catch(() => null)));
  const wide = [...page.querySelectorAll('body *')].filter((e) => {{
    const box = e.getBoundingClientRect();
    return box.width && box.right > root.clientWidth + 1 && !e.closest('nav, pre, .scroll');
  }});
  const small = [...page.querySelectorAll('body *')].filter((e) => e.children.length === 0 && e.textContent.trim()
    && e.namespaceURI.endsWith('xhtml') && parseFloat(getComputedStyle(e).fontSize) < 10.5);
  document.getElementById('found').textContent = JSON.stringify({{
    images: images.length, loaded: images.filter((image) => image.naturalWidth > 0).length,
    overflow: root.scrollWidth - root.clientWidth, wide: wide.map((e) => e.outerHTML.slice(0, 80)),
    small: small.map((e) => e.outerHTML.slice(0, 80)), height: root.scrollHeight,
  }});
}};
</script>"""


def measured(page: Path, tmp_path: Path, width: int) -> dict:
    """What a browser finds on `page` in a window of that width."""
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.format(source=page.as_uri(), width=width), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
    options += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000"]
    done = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", harness.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return {"console": console, **json.loads(unescape(found[1]))}


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_whole_page_without_complaint(shop, tmp_path, width):
    shop.put(f"photos/00099_{'long' * 40}.jpg", b"\xff\xd8\xff\xe0 broken")
    keys = shop.stock(6)
    shop.list_catalog()
    shop.reject("earlier", f"photos/00099_{'long' * 40}.jpg", "corrupt", "unbroken" * 40)
    run_id = shop.night(1, keys, caption="word" * 60)
    shop.index(run_id, 1, live=True)
    write_report(shop.settings)
    found = measured(shop.reports / f"{run_id}.html", tmp_path, width)
    assert found["images"] == found["loaded"] > 6
    assert found["console"] == []
    assert found["overflow"] == 0
    assert found["wide"] == []
    assert found["small"] == []
    index = measured(shop.reports / "index.html", tmp_path, width)
    assert (index["console"], index["overflow"]) == ([], 0)
