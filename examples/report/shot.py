"""Take pictures of a page, as docs/images/report*.png are, with Chromium and Playwright (pip install playwright).

python examples/report/shot.py outputs/demo/report.html report.png --keys 'Enter s n'
"""

from __future__ import annotations

import argparse
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image


def main() -> None:
    """Open the page, press some keys on the first picture of the sheet, and take a picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--keys", default="", help="what is pressed on the first picture, with blanks between")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not args.page.is_file() or chromium is None:
        parser.error("expected a page and an installed Chromium; check the path, or install it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        size = {"width": args.width, "height": args.height}
        page = browser.new_page(viewport=size, color_scheme="dark" if args.dark else "light")
        page.goto(args.page.resolve().as_uri())
        page.wait_for_selector("#sheet img")
        if args.keys:
            page.locator("#sheet button").first.focus()
        for key in args.keys.split():
            page.keyboard.press(key)
        page.wait_for_timeout(500)  # until all pictures are there
        with Image.open(BytesIO(page.screenshot())) as shot:
            shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
