"""docs/papers.md names every bundle, and what it links to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "papers.md"


def test_every_bundle_stands_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    bundles = {path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/metadata.json")}
    assert bundles and not [name for name in sorted(bundles) if f"[`{name}`]" not in text]


def test_what_the_page_links_to_is_there():
    places = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE.read_text(encoding="utf-8"))
    assert places and not [place for place in places if not (PAGE.parent / place).exists()]
