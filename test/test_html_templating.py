"""Templates: a page with all parts, escaped, complete, and self-contained."""

from __future__ import annotations

from pathlib import Path

import jinja2
import numpy as np
import pytest
from html_reader import HOSTILE, Reader, check_escaped
from markupsafe import Markup

from any2seg_ros.html import templating
from any2seg_ros.html.templating import anchor, heat_opacity, number, render
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Modality

PAGE = """
{% extends "page.html.j2" %}
{% from "parts.html.j2" import facts, heat, legend, note, pictures, section, subset_dots,
   subset_key, titled with context %}
{% block content %}
{% call section(name, name) %}
{{ facts({name: name}) }}{{ note(name) }}{{ pictures({name: image}) }}{{ legend(taxonomy) }}
{{ subset_key() }}<table><tr><td>{{ subset_dots([0]) }}</td>{{ heat(41.27, 0, 100) }}
{{ heat(none, 0, 1) }}</tr></table>{{ titled({name: chart}) }}
{% endcall %}
{% call section("Second") %}{% endcall %}
{% endblock %}
"""


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    """A page of all parts whose every text is hostile."""
    for template in templating.TEMPLATES.iterdir():
        (tmp_path / template.name).write_text(template.read_text())
    (tmp_path / "all_parts.html.j2").write_text(PAGE)
    monkeypatch.setattr(templating, "TEMPLATES", tmp_path)
    templating._environment.cache_clear()
    yield render(
        "all_parts.html.j2",
        title=HOSTILE,
        subtitle=HOSTILE,
        footer=HOSTILE,
        name=HOSTILE,
        image=np.zeros((4, 6, 3), np.uint8),
        taxonomy=Taxonomy(HOSTILE, (HOSTILE,), ((1, 2, 3),)),
        chart=Markup("<b>made here</b>"),
    )
    templating._environment.cache_clear()


def test_every_part_shows_text_from_outside_as_text(page):
    check_escaped(page, times=11)
    assert "49" not in Reader(page).text


def test_a_page_lists_its_sections_and_has_its_style(page):
    reader = Reader(page)
    assert f"#{anchor(HOSTILE)}" in reader.loads and "#second" in reader.loads
    assert '<section id="second">' in page and "--paper" in page
    assert "made here" in reader.words and "41.3" in reader.words and "–" in reader.words
    assert sum(word == modality.label for word in reader.words for modality in Modality) == 4


def test_a_value_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="model"):
        render("comparison.html.j2", title="", first={}, second={}, remarks=(), tables=())


def test_templates_escape_whatever_they_are_called():
    assert templating._environment().autoescape is True
    texts = [path.read_text() for path in Path(templating.TEMPLATES).iterdir()]
    assert len(texts) >= 9 and not any("|safe" in text for text in texts)


def test_numbers_have_fixed_digits_and_a_dash_stands_for_none():
    assert [number(v) for v in (1.25, None, float("nan"))] == ["1.2", "–", "–"]
    assert number(0.12345, 3) == "0.123"


def test_heat_grows_with_the_value_and_stays_within_its_range():
    values = [heat_opacity(value, 10, 20) for value in (5, 10, 15, 20, 99)]
    assert values == ["0.040", "0.040", "0.370", "0.700", "0.700"]
