#!/usr/bin/env python3
"""Checks that each link and picture of the HTML book leads somewhere. Usage: check-book.py DIR

The addresses of other hosts are not tried.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The addresses that a page names, with their lines, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.addresses = []
        self.anchors = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.addresses.append((self.getpos()[0], value))
            elif name == "id":
                self.anchors.add(value)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check-book.py DIR")
    book = Path(sys.argv[1]).resolve()
    # The sheet for printing repeats all pages; the page of missing pages is for a server's root.
    paths = [path for path in sorted(book.rglob("*.html")) if path.name not in ("404.html", "print.html")]
    pages = {path: Page(path) for path in paths}
    wrong = []
    n_links = 0
    for path, page in pages.items():
        for line, address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme not in ("", "file") or parts.netloc:
                continue
            n_links += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                wrong.append(f"{path.relative_to(book)}:{line}: {address}: there is no such file")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.append(f"{path.relative_to(book)}:{line}: {address}: the page has no such heading")
    if not n_links:
        wrong.append(f"{book} has no links: it is no book")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(pages)} pages, {n_links} links lead somewhere", file=sys.stderr)


if __name__ == "__main__":
    main()
