"""The report's page as people see it: in Chromium without a network, light, dark, on a phone and on paper."""

import re

import browser
import pytest
from ftstudy.report import page
from report_results import LONG_WORD, claims, results, save

pytestmark = [browser.needs_chromium, pytest.mark.slow]
SERIOUS = ("serious", "critical")
WAYS = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


@pytest.fixture(scope="module")
def tab():
    with browser.page() as opened:
        yield opened


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of a run with all that a run can have, and with words that no line can hold."""
    found = results()
    found["comparison"]["samples"][0]["true"] = LONG_WORD
    found["comparison"]["samples"][1]["context"] = f"{LONG_WORD}: {LONG_WORD}"
    found["format_audit"]["own_findings"][0]["evidence"].append(LONG_WORD)
    found["format_audit"]["rendering"]["inference"]["inference"].append([LONG_WORD, True, False])
    found["extraction"]["source"] = f"data/{LONG_WORD}/chat.db"
    found["training"]["configs"][0] |= {"forced": ["data.empty"], "model": f"models/{LONG_WORD}"}
    found["comparison"]["claims"] = claims()
    return page.build(save(tmp_path_factory.mktemp("page") / "reports" / "mine", found))


@pytest.mark.parametrize("scheme, width", WAYS)
def test_accessible_without_messages_or_requests(tab, path, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    tab.said.clear(), tab.asked.clear()
    browser.show(tab, path, width, scheme)
    assert not tab.said and tab.asked == [path.as_uri()]
    # Everything open: what is folded away is read too.
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = Axe().run(tab).response["violations"]
    serious = [
        (one["id"], one["impact"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in SERIOUS
    ]
    assert not serious


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_makes_the_page_scroll_sideways(tab, path, width):
    browser.show(tab, path, width)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_no_vertical_letters_on_a_phone(tab, path):
    browser.show(tab, path, 360)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    narrow = tab.evaluate(
        """[...document.querySelectorAll('td, th, p, li, dd, dt, summary, code')]
        .filter(one => one.textContent.trim().length > 12 && one.getClientRects().length)
        .filter(one => one.getBoundingClientRect().left >= 0 && one.getBoundingClientRect().width < 60)
        .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert not narrow


def test_the_diff_is_side_by_side_or_stacked(tab, path):
    def tops(width):
        browser.show(tab, path, width)
        return [one.bounding_box()["y"] for one in tab.locator(".diff .side").all()]

    assert len(set(tops(1280))) == 1 and len(set(tops(360))) == 2


def test_the_first_screen_holds_the_verdict_its_tiles_and_what_to_do(tab, path):
    browser.show(tab, path, 1280)
    assert tab.locator("h1").bounding_box()["y"] < 200
    assert all(one.bounding_box()["y"] < 900 for one in tab.locator(".tile").all())
    assert tab.locator("#next .command").first.bounding_box()["y"] < 900


def test_contents_stay_in_view_and_lead_to_their_section(tab, path):
    browser.show(tab, path, 1280)
    tab.locator("nav a[href='#audit']").click()
    tab.wait_for_timeout(1500)
    assert 0 <= tab.locator("nav").bounding_box()["y"] < 200
    assert -5 <= tab.locator("#audit").bounding_box()["y"] < 900


def test_copy_buttons_copy_the_whole_command(tab, path):
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    browser.show(tab, path)
    button = tab.locator("#next button.copy").first
    button.click()
    tab.locator("#next button.copy", has_text="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == button.get_attribute("data-copy")


def test_replies_are_filtered_without_a_server(tab, path):
    browser.show(tab, path)
    everything = tab.locator(".sample:visible").count()
    tab.locator("input[value=loops]").check()
    assert 0 < tab.locator(".sample:visible").count() == tab.locator(".sample.loops").count() < everything + 3
    tab.locator("input[value=empty]").check()
    assert tab.locator(".sample:visible").count() == 0


def test_everything_is_there_without_scripts(tab, path):
    plain = browser.without_scripts(tab)
    browser.show(plain, path)
    assert plain.locator("button.copy:visible").count() == 0 and plain.locator("#next code").first.is_visible()
    plain.locator("details.cause summary").nth(1).click()
    assert plain.locator("details.cause").nth(1).locator("pre").first.is_visible()
    plain.locator("input[value=loops]").check()
    assert plain.locator(".sample:visible").count() == plain.locator(".sample.loops").count() > 0


def test_on_paper_folds_are_open_and_marks_stay(tab, path, tmp_path):
    browser.show(tab, path)
    tab.emulate_media(media="print", color_scheme="dark")  # paper is white
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    mark = "getComputedStyle(document.querySelector('.diff mark'))"
    assert "underline" in tab.evaluate(f"{mark}.textDecorationLine")
    assert tab.evaluate(f"{mark}.printColorAdjust") == "exact"
    assert tab.locator("nav").is_hidden() and tab.locator(".filter").is_hidden()
    assert tab.locator("#numbers table").first.is_visible()
    assert "avoid" in tab.evaluate("getComputedStyle(document.querySelector('h2')).breakAfter")
    pdf = tab.pdf()
    tab.emulate_media(media="screen")
    assert pdf.startswith(b"%PDF") and 3 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 40


def test_charts_have_the_colours_of_the_theme(tab, path):
    def colour(scheme):
        browser.show(tab, path, 1280, scheme)
        return tab.evaluate("getComputedStyle(document.querySelector('.chart svg text')).fill")

    assert colour("light") != colour("dark")
