"""Line drawings of photographs, anime and manga by networks (ControlNet v1.1 `lineart`, `lineart_anime`)."""

from ..description import Hint, Inputs, Preprocessor, Run
from ..line_maps import line_map, three_channels


def _runs(row: str) -> Run:
    def run(inputs: Inputs) -> Hint:
        return Hint(three_channels(line_map(inputs.networks(row), inputs.images)))

    return run


LINEART_REALISTIC = Preprocessor(
    id="lineart_realistic",
    label="Line Art, Realistic",
    hint="line drawing",
    description="A line drawing of a photograph, fine and detailed, white on black.",
    run=_runs("lineart"),
    weights=("lineart",),
    aliases=("LineArtPreprocessor", "lineart", "informative drawings"),
    multiple_of=4,
)

LINEART_COARSE = Preprocessor(
    id="lineart_coarse",
    label="Line Art, Coarse",
    hint="line drawing",
    description="A line drawing of a photograph with few, loose strokes, white on black.",
    run=_runs("lineart_coarse"),
    weights=("lineart_coarse",),
    aliases=("coarse line art", "loose line drawing"),
    multiple_of=4,
)

LINEART_ANIME = Preprocessor(
    id="lineart_anime",
    label="Line Art, Anime",
    hint="line drawing",
    description="The lines of an anime picture, white on black.",
    run=_runs("lineart_anime"),
    weights=("lineart_anime",),
    aliases=("AnimeLineArtPreprocessor", "anime line art"),
    multiple_of=256,
)

LINEART_MANGA = Preprocessor(
    id="lineart_manga",
    label="Line Art, Manga",
    hint="line drawing",
    description="The lines of a manga page without its screentones, white on black; for anime line art ControlNets.",
    run=_runs("manga_line"),
    weights=("manga_line",),
    aliases=("Manga2Anime_LineArt_Preprocessor", "lineart_anime_denoise", "manga line extraction"),
    multiple_of=16,
)

DRAWINGS = {method.id: method for method in (LINEART_REALISTIC, LINEART_ANIME, LINEART_MANGA)}
"""Those that AnyLine can be merged with."""
