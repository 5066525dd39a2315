"""Opens a page of `hfdl report --format html` in a real browser and judges it.

Usage: python3 tests/clients/report_page.py HFDL HUB_PROGRAM BROWSER [FOLDER]

HFDL and HUB_PROGRAM are the debug builds; BROWSER is a Chromium. Python needs the package
`playwright`, without its own browsers. Not a part of .ci/run, because not every system there has a
browser as a package. FOLDER keeps the page, its pictures and its printed form.

Some nights with updates, failures, a hold and hostile names are made with the test hub first. The
page must make no request, report nothing on the console, fit its window, have text that contrasts
with its ground in both colour schemes, and describe each drawing.
"""

import datetime
import os
import random
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from hub_program import Hub, write
from official_client import Failed
from playwright.sync_api import sync_playwright

WIDTHS = [400, 1100]
SCHEMES = ["light", "dark"]
LEAST_CONTRAST = 4.5

# Returns the texts whose contrast with the ground of the page is lowest, lowest first.
CONTRASTS = """() => {
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = colour => {
        const [r, g, b] = numbers(colour).slice(0, 3).map(v => {
            v /= 255;
            return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = element => {
        for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
    };
    const found = [];
    for (const element of document.querySelectorAll('body *')) {
        const text = [...element.childNodes].find(n => n.nodeType === 3 && n.data.trim());
        if (!text || ['title', 'desc'].includes(element.localName)) continue;
        const style = getComputedStyle(element);
        const own = light(element instanceof SVGElement ? style.fill : style.color);
        const below = light(ground(element));
        const ratio = (Math.max(own, below) + 0.05) / (Math.min(own, below) + 0.05);
        found.push([ratio, element.localName, text.data.trim().slice(0, 40)]);
    }
    return found.sort((a, b) => a[0] - b[0]);
}"""


def make_page(hfdl, hub_program, scratch):
    """Lets some nights pass and returns the page about them."""
    source, some = scratch / "source", random.Random(1)
    write(source, "model", "acme/tiny", "main", {"config.json": b"{}", "model.safetensors": some.randbytes(2 << 20)})
    write(source, "model", "acme/code", "main", {"model.py": b"pass", "weights.bin": some.randbytes(1 << 20)})
    with Hub(hub_program, source, scratch) as hub:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(scratch),
            "HFDL_HOME": str(scratch / "state"),
            "HF_HUB_CACHE": str(scratch / "cache"),
            "HF_ENDPOINT": hub.url,
            "HFDL_DISK_RESERVE": "0",
            # The weights are arbitrary bytes, and the new code is to be published.
            "HFDL_UPDATE_GUARDS": "off",
            "HFDL_TEST_NO_PAUSES": "1",
            "HFDL_TEST_PROGRAMS": str(scratch),
            "TZ": "UTC",
        }

        def run(line, now, codes=(0,)):
            now = now.strftime("%Y-%m-%dT%H:%M:%SZ")
            done = subprocess.run(
                [hfdl, *line.split()], env=environment | {"HFDL_TEST_NOW": now}, capture_output=True, text=True
            )
            if done.returncode not in codes:
                raise Failed(f"`hfdl {line}` exited {done.returncode}\n{done.stdout}{done.stderr}")

        now = datetime.datetime(2026, 3, 1, 2)
        for line in ["models add acme/tiny", "models add acme/code", "schedules add nightly --daily 01:30 --all"]:
            run(line, now)
        for night in range(14):
            now += datetime.timedelta(days=1)
            if night % 3 == 1:
                write(source, "model", "acme/tiny", "main", {"model.safetensors": some.randbytes((2 + night % 4) << 20)})
                hub.publish()
            if night == 5:
                evil = {"model.py": b"import os", "weights.bin": b"w" * (1 << 20), "<img src=x onerror=alert(1)>.py": b""}
                write(source, "model", "acme/code", "main", evil)
                hub.publish()
            if night == 8:
                fault = f"{hub.url}/__hub__/fault?status=500&times=40"
                urllib.request.urlopen(urllib.request.Request(fault, method="POST"))
            if night == 9:
                urllib.request.urlopen(urllib.request.Request(f"{hub.url}/__hub__/heal", method="POST"))
            if night == 11:
                write(source, "model", "acme/code", "main", {"README.md": b"moved"})
                hub.publish()
            run("run-due -q", now, codes=(0, 5))
        page = scratch / "report.html"
        run(f"report --since 30d --format html --output {page}", now)
        return page


def judge(browser, page, scheme, width, folder):
    """Returns what is wrong with the page in one window."""
    wrong = []
    window = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    tab = window.new_page()
    tab.on("console", lambda message: wrong.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    tab.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    tab.on("request", lambda request: request.url == page.as_uri() or wrong.append(f"request: {request.url[:80]}"))
    tab.goto(page.as_uri())
    too_wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if too_wide > 0:
        wrong.append(f"{too_wide} pixels wider than its window")
    ratio, element, text = tab.evaluate(CONTRASTS)[0]
    if ratio < LEAST_CONTRAST:
        wrong.append(f"contrast {ratio:.2f} of <{element}> {text!r}")
    drawings = tab.locator("svg").count()
    described = tab.locator("svg[role=img]:has(> title):has(> desc)").count()
    if drawings < 3 or described != drawings:
        wrong.append(f"{described} of {drawings} drawings are described")
    if tab.locator("script, iframe, object, embed, img, form").count():
        wrong.append("an element that has no place in a report")
    tab.screenshot(path=folder / f"{scheme}-{width}.png", full_page=True)
    if len(tab.pdf(path=folder / f"{scheme}-{width}.pdf", format="A4")) < 10_000:
        wrong.append("nothing is printed")
    window.close()
    return [f"{scheme}, {width} pixels: {one}" for one in wrong]


def main():
    hfdl, hub_program, program, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(rest[0] if rest else scratch).resolve()
        page = make_page(os.path.abspath(hfdl), os.path.abspath(hub_program), Path(scratch))
        wrong = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            print(f"Chromium {browser.version}")
            for scheme in SCHEMES:
                for width in WIDTHS:
                    wrong += judge(browser, page, scheme, width, folder)
            browser.close()
        if folder != Path(scratch).resolve():
            (folder / "report.html").write_bytes(page.read_bytes())
    if wrong:
        sys.exit("\n".join(wrong))
    print("the page is in order")


if __name__ == "__main__":
    main()
