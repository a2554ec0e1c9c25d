"""Soft edges: contours of a photograph in grey, by HED, PiDiNet or TEED (ControlNet v1.1 `softedge`)."""

from ..description import Hint, Inputs, Parameter, Preprocessor, Run
from ..line_maps import SAFE, SAFE_STEPS, soft_edges, three_channels


def _runs(row: str) -> Run:
    def run(inputs: Inputs) -> Hint:
        return Hint(
            three_channels(soft_edges(inputs.images, row, SAFE_STEPS if inputs.switch("safe") else 0, inputs.networks))
        )

    return run


def _run_teed(inputs: Inputs) -> Hint:
    return Hint(three_channels(soft_edges(inputs.images, "teed", inputs.whole_number("safe_steps"), inputs.networks)))


HED = Preprocessor(
    id="hed",
    label="HED Soft Edges",
    hint="soft edges",
    description="Soft contours of what is in the picture, white on black.",
    run=_runs("hed"),
    parameters=(SAFE,),
    weights=("hed",),
    aliases=("HEDPreprocessor", "softedge_hed", "softedge_hedsafe", "holistically-nested edge detection"),
    multiple_of=16,
)

PIDINET = Preprocessor(
    id="pidinet",
    label="PiDiNet Soft Edges",
    hint="soft edges",
    description="Soft contours, white on black, thinner and cleaner than HED's.",
    run=_runs("pidinet"),
    parameters=(SAFE,),
    weights=("pidinet",),
    aliases=("PiDiNetPreprocessor", "softedge_pidinet", "softedge_pidisafe", "pixel difference network"),
    multiple_of=8,
    license="PiDiNet: for research; ask its authors before commercial use",
)

TEED = Preprocessor(
    id="teed",
    label="TEED Soft Edges",
    hint="soft edges",
    description="Fine soft edges, white on black, from a very small network.",
    run=_run_teed,
    parameters=(
        Parameter(
            "safe_steps",
            "Safe steps",
            SAFE_STEPS,
            "How many steps of grey there are from black to white. 0 keeps all grey values.",
            minimum=0,
            maximum=10,
            step=1,
        ),
    ),
    weights=("teed",),
    aliases=("TEEDPreprocessor", "TEED_Preprocessor", "softedge_teed"),
    multiple_of=8,
    license="The hub repository of the weights is CC-BY-NC-SA-4.0: non-commercial use only",
)
