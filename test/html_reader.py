"""Reads the HTML of reports in tests: well formed, nothing loaded, nothing run, text as it was."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = """</style></title><script>alert("x")</script>'"><img src=x onerror=y> {{ 7 * 7 }} &lt;"""
"""A name from outside that would break out of text, attributes, a style sheet and a template."""


class Reader(HTMLParser):
    """Checks that tags close in order; gathers what the page would load and run, and its words."""

    VOID = ("meta", "img", "br")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.runs: list[str] = []
        self.words: list[str] = []
        self.attributes: list[str] = []
        self.feed(content)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "href")]
        self.runs += [name for name, _ in attributes if name.startswith("on")]
        self.runs += [tag] if tag in ("script", "iframe", "object", "link") else []
        self.attributes += [value for _, value in attributes if value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        """All words with single spaces."""
        return " ".join(" ".join(self.words).split())


def check_escaped(page: str, times: int) -> None:
    """A page with HOSTILE in it shows it as text, at least so often, and does nothing else."""
    reader = Reader(page)
    assert not reader.runs
    assert all(link.startswith(("data:image/", "#")) for link in reader.loads)
    assert reader.text.count(" ".join(HOSTILE.split())) >= times
