"""The page that `dvc plots show` writes."""

import re

import pytest
import yaml
from conftest import ROOT, run

DEFINED = [
    name for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for name in plot
]


def test_the_template_is_what_the_locked_vega_gives():
    from ajuste.report import plots_page

    assert (ROOT / plots_page.PAGE).read_text(encoding="utf-8") == plots_page.page()


@pytest.mark.slow
def test_the_page_needs_no_network_and_has_every_plot_once(copy):
    run("dvc", "plots", "show", cwd=copy)
    page = (copy / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    drawn = re.findall(r"""vegaEmbed\('#([^']+)', spec""", page)
    assert len(drawn) == len(set(drawn))
    assert {name.replace(" ", "_") for name in DEFINED} <= set(drawn)
    # Definitions come first, so that the page can leave out the files that they draw.
    files = [number for number, name in enumerate(drawn) if re.search("_[ct]sv$", name)]
    assert min(files) >= len(DEFINED)
