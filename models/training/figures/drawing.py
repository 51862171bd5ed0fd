"""What every figure shares: a sheet, the one font, and how SVG comes of it.

matplotlib looks for fonts among those of the system, and reads them from files that it keeps open.
A training draws where no file can be opened, beside others that would share such an open file; so
the one font is read into memory when this is imported, and nothing is looked for.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import text, textpath
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Sheet
from matplotlib.ft2font import FT2Font

BLUE: Final = "#2563a8"
ORANGE: Final = "#c2570c"
GREY: Final = "#8a94a0"
INK: Final = "#27313b"
# Told apart by those who see no red or green as well (Okabe and Ito), in the order of use.
COLOURS: Final = (BLUE, ORANGE, "#00806a", "#a04080", "#8a7000", "#3a9bd8", INK, GREY)
MOST_LABEL: Final = 24  # characters of a name in a figure

_FONT: Final = "DejaVu Sans"
# As wide as the one that texts were measured by, where that one is not installed.
_FONTS: Final = "'DejaVu Sans', Verdana, sans-serif"
_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sallyport",
    "svg.image_inline": True,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.family": _FONT,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "grid.color": "#d9dee3",
    "grid.linewidth": 0.6,
}
_NOTHING_ABOUT_ITSELF: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure: SVG that needs nothing else, and what it shows in words, for who cannot see it.

    `wide` ones take the whole width of a page.
    """

    name: str
    title: str
    about: str
    svg: str
    wide: bool = False

    def as_json(self) -> dict[str, Any]:
        """What the evaluation says of it: all but the picture."""
        return {"name": self.name, "title": self.title, "about": self.about}


def draw(paint: Callable[[Sheet], None], *, width: float = 5.2, height: float = 3.8) -> str:
    """Have a sheet of so many inches painted, and return its SVG; the same paint, the same SVG."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font lacks, a name longer than the sheet: the browser will manage.
        warnings.simplefilter("ignore", UserWarning)
        sheet = Sheet(figsize=(width, height), dpi=72, layout="constrained", facecolor="none")
        paint(sheet)
        for axes in sheet.axes:
            axes.set_facecolor("none")
        return _as_svg(sheet)


class _OneFont:
    """Stands where matplotlib would look for fonts, and open them."""

    def __init__(self) -> None:
        path = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
        self._font = FT2Font(io.BytesIO(path.read_bytes()))

    def _find_fonts_by_props(self, wanted: object) -> None:
        """Whatever is wanted, there is one."""

    def get_font(self, found: object) -> FT2Font:
        """The font."""
        return self._font


def _as_svg(sheet: Sheet) -> str:
    """The figure, without what comes before the element: a page has that already."""
    sink = io.StringIO()
    canvas: Any = FigureCanvasSVG(sheet)
    canvas.print_svg(sink, metadata=_NOTHING_ABOUT_ITSELF)
    svg = sink.getvalue()
    return svg[svg.index("<svg") :].replace(f"font-family: '{_FONT}'", f"font-family: {_FONTS}")


def _read_the_font_once() -> None:
    one = _OneFont()
    for module, looks in ((text, "fontManager"), (textpath, "_fontManager")):
        setattr(module, looks, one)
        setattr(module, "get_font", one.get_font)  # noqa: B010  mypy knows it as a constant


_read_the_font_once()
