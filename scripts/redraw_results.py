"""All studies below results/ -> their figures and their sections in docs/results.md.

    python scripts/redraw_results.py

Nothing is trained. The section of results/FOLDER/NAME/results.json stands between
`<!-- FOLDER/NAME -->` and `<!-- end -->`, its figure is docs/figures/FOLDER_NAME.png;
that of the text path through training, where it was tracked, FOLDER_NAME_forgetting.png.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.drawing import as_bytes
from horizon_st.horizon.figures import draw, draw_forgetting
from horizon_st.horizon.report import markdown
from horizon_st.horizon.results import find_results, read_results

ROOT = Path(__file__).parents[1]
RESULTS, PAGE, FIGURES = ROOT / "results", ROOT / "docs" / "results.md", ROOT / "docs" / "figures"


def main() -> None:
    """Rewrites the page; ends the program where a study has no place in it."""
    page = PAGE.read_text(encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for path in find_results(RESULTS):
        name = path.parent.relative_to(RESULTS).as_posix()
        analysis = Analysis(read_results(path))
        figures = {"": draw(analysis), "_forgetting": draw_forgetting(analysis)}
        links = []
        for ending, figure in figures.items():
            if figure is not None:
                file = FIGURES / f"{name.replace('/', '_')}{ending}.png"
                file.write_bytes(as_bytes(figure, "png"))
                links.append(f"figures/{file.name}")
        page = put_section(page, name, markdown(analysis.results, *links))
        print(name)
    PAGE.write_text(page, encoding="utf-8")


def put_section(page: str, name: str, section: str) -> str:
    """The page with the section in its place."""
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        sys.exit(f"{PAGE}: no place for {name}, <!-- {name} --> and below it <!-- end -->")
    return place.sub(lambda found: f"{found[1]}\n{section}\n{found[2]}", page)


if __name__ == "__main__":
    main()
