"""Links, tests and files that the pages name exist; the pages for users are short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "lab").glob("*.md")]
)
USER_PAGES = (
    "tutorial",
    "operator",
    "training",
    "evaluation",
    "model_card",
    "limits",
)
MOST_WORDS = 12_000
MOST_LINES_OF_README = 120


def links(page: Path) -> Iterator[tuple[str, str]]:
    """(file, anchor) of each link to a file of this repository; either may be empty."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_links_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for file, anchor in links(page):
            target = (page.parent / file).resolve() if file else page
            found = target.exists() and (not anchor or anchor in anchors(target))
            if not found:
                broken.append(f"{page.relative_to(ROOT)}: {file}#{anchor}")
    assert broken == []


def test_tests_that_pages_name_exist() -> None:
    paths = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    wrong = []
    for page in PAGES:
        for name in re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)", page.read_text("utf-8")):
            known = any(path == name or path.endswith("/" + name) for path in paths)
            if not known:
                wrong.append(f"{page.relative_to(ROOT)}: {name}")
    assert wrong == []


def test_functions_that_the_reliability_page_names_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"::(\w+)", text))
    assert {name for name in named if not re.search(rf"(def|class) {name}\b", source)} == set()


def test_the_pages_for_users_are_short() -> None:
    words = {
        name: len((ROOT / "docs" / f"{name}.md").read_text("utf-8").split()) for name in USER_PAGES
    }
    assert sum(words.values()) <= MOST_WORDS, words
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= MOST_LINES_OF_README
