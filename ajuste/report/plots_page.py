"""Write the page template of `dvc plots show`: `python -m ajuste.report.plots_page`.

DVC's own template loads the Vega libraries from a network. This one holds them, so the page works
offline. It also leaves out what would be empty or drawn twice: DVC draws every file that a stage
lists under `plots`, besides the definitions at the end of `dvc.yaml`, which draw the same files.
"""

import vl_convert

from ajuste.report.vega import LIBRARIES as PAGE  # named in .dvc/config

EXPORT = "window.vegaEmbed = vegaEmbed;"
FILTER = """
const embed = window.vegaEmbed;
let defined = false;
window.vegaEmbed = (selector, spec) => {
  const panel = document.querySelector(selector);
  const isFile = /_[ct]sv$/.test(selector) && !/_metrics_gradient_/.test(selector);
  defined ||= !isFile; // DVC writes the definitions first
  const twice = isFile && defined;
  const empty = spec.data.values.length === 0;
  return twice || empty ? panel.remove() : embed(selector, spec);
};
"""
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{{refresh_tag}}
<title>Plots</title>
<!-- Vega, Vega-Lite and Vega-Embed: copyright University of Washington Interactive Data Lab and
contributors, BSD 3-Clause licence, https://github.com/vega -->
<script>(() => {{{bundle}
}})();</script>
<script>(() => {{{filter}}})();</script>
<style>
body {{ font-family: system-ui, sans-serif; margin: 2rem }}
img {{ max-width: 100% }}
</style>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def page() -> str:
    """The template, with DVC's placeholders `{refresh_tag}` and `{plot_divs}`."""
    bundle = vl_convert.javascript_bundle(EXPORT).replace("</script", r"<\/script")
    return TEMPLATE.format(bundle=bundle, filter=FILTER)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
