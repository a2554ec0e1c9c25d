"""What README and docs/beside-other-packs.md say about other packs is what the tests hold."""

import re
from pathlib import Path

from support.comfy_host import import_host

import_host()

from zeroconv.nodes.stand_ins import STAND_INS

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "beside-other-packs.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = [line.strip("|").split("|") for line in DOCUMENT.splitlines() if line.startswith("| ") and "tests/" in line]


def test_every_row_names_its_test_and_the_variable_it_reads():
    assert len(TABLE) >= 8
    for pack, read, _, test, variable in TABLE:
        file = ROOT / test.strip().strip("`")
        assert file.is_file(), pack
        assert re.search(r"[0-9a-f]{7}, \d{4}-\d\d-\d\d|\d+\.\d+", read), pack
        if variable.strip():
            assert f'"{variable.strip().strip("`")}"' in file.read_text(encoding="utf-8"), pack


def test_no_test_beside_a_pack_is_left_out():
    named = {row[3].strip().strip("`").rpartition("/")[2] for row in TABLE}
    beside = {path.name for path in Path(__file__).parent.glob("test_beside_*.py")} - {Path(__file__).name}
    assert beside <= named


def test_readme_counts_the_stand_ins():
    (count,) = re.findall(r"find\s+(\d+) of them here by the same ids", README)
    assert int(count) == len(STAND_INS)


def test_what_is_said_to_be_missing_is_missing():
    """The ids of the nodes that the document leaves out, so that it is changed when one of them comes."""
    missing = (
        "MeshGraphormer-DepthMapPreprocessor",
        "DensePosePreprocessor",
        "SAMPreprocessor",
        "AnimeFace_SemSegPreprocessor",
        "Unimatch_OptFlowPreprocessor",
        "MaskOptFlow",
        "DiffusionEdge_Preprocessor",
        "FacialPartColoringFromPoseKps",
        "UpperBodyTrackingFromPoseKps",
        "ACN_ReferenceControlNet",
        "ACN_CustomControlNetWeightsFlux",
        "ScaledSoftMaskedUniversalWeights",
        "ACN_SparseCtrlMergedLoaderAdvanced",
        "ACN_SparseCtrlWeightExtras",
    )
    assert not {row.id for row in STAND_INS} & set(missing)
