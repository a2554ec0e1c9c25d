"""comfyui_controlnet_aux: its preprocessors, by ours. Ids, inputs, defaults and choices as in its version 1.1.5.

An input that a saved node lacks takes the default of the pack's function, which now and then is not the widget's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...host.preprocessing.run import run_preprocessor
from ...preprocessors.catalogue import preprocessors
from ...preprocessors.methods.inpaint import MARKS, mark_masked
from ...preprocessors.methods.threshold import LUMA, OTSU
from ...preprocessors.methods.tile import pyramid, resample_then_blur
from ...preprocessors.running import Options
from ...preprocessors.sizes import as_rgb_on_white
from .framing import LARGEST, SMALLEST, USUAL, Framing
from .row import Input, Replacement, StandIn, choice, image, number, socket, switch, whole

PACK = "comfyui_controlnet_aux"
PICTURE = (("IMAGE", "IMAGE"),)
POSE = (("IMAGE", "IMAGE"), ("POSE_KEYPOINT", "POSE_KEYPOINT"))

PADDED = Framing()
RESOLUTION = whole("resolution", USUAL, SMALLEST, LARGEST, 64, optional=True)


@dataclass(frozen=True)
class Setting:
    """The value of one of our settings. old: the input it comes from. convert: what it means here."""

    old: str
    convert: Callable[[Any], Any]


def _enabled(word: str) -> bool:
    return word == "enable"


def _is(word: str) -> Setting:
    return Setting(word, _enabled)


def _preprocessor(
    old: str,
    label: str,
    method: str | Callable[[Mapping[str, Any]], str],
    *inputs: Input,
    settings: Mapping[str, str | Setting] | None = None,
    fixed: Mapping[str, Any] | None = None,
    framing: Framing = PADDED,
    output: str = "IMAGE",
    difference: str = "",
) -> StandIn:
    """The row of a preprocessor.

    method: id of ours, or what chooses it by the inputs. settings: of ours, by the old input. fixed: settings with a
    value of their own. framing: how the pack brings pictures to a resolution.
    output: name of the hint.
    """
    named, settings, fixed = method if isinstance(method, str) else method({}), settings or {}, fixed or {}
    preprocessor = preprocessors()[named]
    parameters = {parameter.name for parameter in preprocessor.parameters}

    def run(**values: Any) -> tuple[Any, ...]:
        chosen = preprocessors()[method if isinstance(method, str) else method(values)]
        given = {
            name: values[source] if isinstance(source, str) else source.convert(values[source.old])
            for name, source in settings.items()
        }
        own = {name: value for name, value in {**given, **fixed}.items() if name in parameters}
        return framing.run(chosen, values["image"], values["resolution"], own)

    carried = {name: source for name, source in settings.items() if isinstance(source, str)}
    converted = _usual_settings(settings, inputs) | dict(fixed)
    replacement = Replacement(
        preprocessor.node_id, {"image": "image", "resolution": "resolution", **carried}, converted
    )
    outputs = POSE if preprocessor.gives_poses else (("IMAGE", output),)
    return StandIn(
        old, label, PACK, (image(), *inputs), outputs, run, replacement, difference, weights=preprocessor.weights
    )


def _usual_settings(settings: Mapping[str, str | Setting], inputs: tuple[Input, ...]) -> dict[str, Any]:
    """Our values for the old defaults of the inputs whose values are written differently here."""
    defaults = {item.id: item.default for item in inputs}
    return {
        name: source.convert(defaults[source.old]) for name, source in settings.items() if isinstance(source, Setting)
    }


def _words(name: str, *words: str) -> Input:
    return choice(name, *words, optional=True)


def _on(name: str) -> Input:
    return _words(name, "enable", "disable")


def _off(name: str) -> Input:
    return _words(name, "disable", "enable")


def _byte(name: str, default: int) -> Input:
    return whole(name, default, 0, 255, optional=True)


BYTES = "Grey levels are kept where the pack cuts them off to whole ones: at most one level apart."

SOFT_EDGES = (
    _preprocessor("HEDPreprocessor", "HED Soft-Edge Lines", "hed", _on("safe"), RESOLUTION,
                  settings={"safe": _is("safe")}),
    _preprocessor("FakeScribblePreprocessor", "Fake Scribble Lines (aka scribble_hed)", "scribble_hed", _on("safe"),
                  RESOLUTION, settings={"safe": _is("safe")}),
    _preprocessor("PiDiNetPreprocessor", "PiDiNet Soft-Edge Lines", "pidinet", _on("safe"), RESOLUTION,
                  settings={"safe": _is("safe")}),
    _preprocessor("Scribble_PiDiNet_Preprocessor", "Scribble PiDiNet Lines", "scribble_pidinet", _on("safe"),
                  RESOLUTION, settings={"safe": _is("safe")},
                  difference="The pack makes a scribble of the scribble: it thins and thickens its lines twice."),
    _preprocessor("TEEDPreprocessor", "TEED Soft-Edge Lines", "teed", whole("safe_steps", 2, 0, 10, optional=True),
                  RESOLUTION, settings={"safe_steps": "safe_steps"}),
    _preprocessor(
        "AnyLineArtPreprocessor_aux", "AnyLine Lineart", "anyline",
        _words("merge_with_lineart", "lineart_standard", "lineart_realisitic", "lineart_anime", "manga_line"),
        whole("resolution", 1280, SMALLEST, LARGEST, 8, optional=True, absent=USUAL),
        number("lineart_lower_bound", 0, 0, 1, optional=True), number("lineart_upper_bound", 1, 0, 1, optional=True),
        whole("object_min_size", 36, 1, LARGEST, optional=True),
        whole("object_connectivity", 1, 1, LARGEST, optional=True),
        settings={
            "merge_with": Setting("merge_with_lineart", {
                "lineart_standard": "lineart_standard", "lineart_realisitic": "lineart_realistic",
                "lineart_anime": "lineart_anime", "manga_line": "lineart_manga",
            }.__getitem__),
            "lower_bound": "lineart_lower_bound", "upper_bound": "lineart_upper_bound",
            # The pack counts each pixel once for red, green and blue.
            "speck_size": Setting("object_min_size", lambda size: min(10000, max(1, -(-int(size) // 3)))),
            "diagonal": Setting("object_connectivity", lambda steps: steps > 1),
        },
        output="image",
    ),
)  # fmt: skip

LINES = (
    _preprocessor("CannyEdgePreprocessor", "Canny Edge", "canny", _byte("low_threshold", 100),
                  _byte("high_threshold", 200), RESOLUTION,
                  settings={"low_threshold": "low_threshold", "high_threshold": "high_threshold"}),
    _preprocessor("PyraCannyPreprocessor", "PyraCanny", "canny_pyramid", _byte("low_threshold", 64),
                  _byte("high_threshold", 128), RESOLUTION, difference=BYTES,
                  settings={"low_threshold": "low_threshold", "high_threshold": "high_threshold"}),
    _preprocessor("M-LSDPreprocessor", "M-LSD Lines", "mlsd",
                  number("score_threshold", 0.1, 0.01, 2.0, optional=True),
                  number("dist_threshold", 0.1, 0.01, 20.0, optional=True), RESOLUTION,
                  # Scores end at 1: above it the pack finds nothing.
                  settings={"score_threshold": Setting("score_threshold", lambda score: min(score, 1.0)),
                            "distance_threshold": "dist_threshold"},
                  difference="Larger pictures may have more than 200 lines."),
    _preprocessor("LineArtPreprocessor", "Realistic Lineart",
                  lambda values: "lineart_coarse" if values.get("coarse") == "enable" else "lineart_realistic",
                  _off("coarse"), RESOLUTION),
    _preprocessor("AnimeLineArtPreprocessor", "Anime Lineart", "lineart_anime", RESOLUTION,
                  framing=Framing(stretched=256)),
    _preprocessor("Manga2Anime_LineArt_Preprocessor", "Manga Lineart (aka lineart_anime_denoise)", "lineart_manga",
                  RESOLUTION, framing=Framing(step=256)),
    _preprocessor("LineartStandardPreprocessor", "Standard Lineart", "lineart_standard",
                  number("guassian_sigma", 6.0, 0, 100.0, optional=True),
                  whole("intensity_threshold", 8, 0, 16, optional=True), RESOLUTION,
                  settings={"sigma": Setting("guassian_sigma", lambda sigma: max(sigma, 0.1)),
                            "intensity_threshold": "intensity_threshold"},
                  difference=BYTES),
)  # fmt: skip

DEPTH_MODELS = {"s": "small", "b": "base", "l": "large", "g": "giant"}
FLATNESS = number("a", 6.283185307179586, 0.0, 15.707963267948966, optional=True)
BACKGROUND = number("bg_threshold", 0.1, 0, 1, optional=True)


def _model_size(file: str) -> str:
    """depth_anything_v2_vitl.pth -> large."""
    return DEPTH_MODELS[file.rpartition("vit")[2][0]]


METRIC3D_MODELS = _words("backbone", "vit-small", "vit-large", "vit-giant2")
FOCAL = (whole("fx", 1000, 1, LARGEST, optional=True), whole("fy", 1000, 1, LARGEST, optional=True))


def _metric3d_size(backbone: str) -> str:
    """vit-giant2 -> giant."""
    return backbone.removeprefix("vit-").rstrip("2")


DEPTH_AND_NORMALS = (
    _preprocessor("MiDaS-DepthMapPreprocessor", "MiDaS Depth Map", "midas_depth", FLATNESS, BACKGROUND, RESOLUTION,
                  difference="The pack's depth heeds neither a nor bg_threshold. " + BYTES),
    _preprocessor("MiDaS-NormalMapPreprocessor", "MiDaS Normal Map", "midas_normals", FLATNESS, BACKGROUND, RESOLUTION,
                  settings={"flatness": Setting("a", lambda a: max(a, 0.01)), "background_threshold": "bg_threshold"},
                  difference=BYTES),
    _preprocessor("BAE-NormalMapPreprocessor", "BAE Normal Map", "normal_bae", RESOLUTION, fixed={"network_size": 0},
                  difference=BYTES),
    _preprocessor("DSINE-NormalMapPreprocessor", "DSINE Normal Map", "dsine_normals",
                  number("fov", 60.0, 0, 365.0, optional=True), whole("iterations", 5, 1, 20, optional=True),
                  RESOLUTION,
                  settings={"field_of_view": Setting("fov", lambda fov: min(max(fov, 1.0), 170.0)),
                            "refinements": "iterations"}, fixed={"network_size": 0}, difference="The pack takes the "
                  "camera from the picture before it is resized, so that its normals change with the resolution."),
    _preprocessor("Metric3D-DepthMapPreprocessor", "Metric3D Depth Map", "metric3d_depth", METRIC3D_MODELS, *FOCAL,
                  RESOLUTION, framing=Framing(afterwards=True),
                  settings={"model": Setting("backbone", _metric3d_size), "focal_length": Setting("fx", float)},
                  fixed={"lower_percentile": 0.0, "upper_percentile": 100.0}, difference="The nearest is white and the "
                  "farthest black; the pack's white is the camera itself. fy is taken to be fx."),
    _preprocessor("Metric3D-NormalMapPreprocessor", "Metric3D Normal Map", "metric3d_normals", METRIC3D_MODELS, *FOCAL,
                  RESOLUTION, framing=Framing(afterwards=True), settings={"model": Setting("backbone", _metric3d_size)},
                  difference="The normals are those of the last round of refinement, the pack's of the first."),
    _preprocessor("Zoe-DepthMapPreprocessor", "Zoe Depth Map", "zoe_depth", RESOLUTION, difference=BYTES),
    _preprocessor("Zoe_DepthAnythingPreprocessor", "Zoe Depth Anything", "zoe_depth_anything",
                  _words("environment", "indoor", "outdoor"), RESOLUTION,
                  settings={"scene": Setting("environment", str)},
                  difference="It runs the network that it is called after, where the pack runs plain ZoeDepth."),
    _preprocessor("DepthAnythingPreprocessor", "Depth Anything", "depth_anything",
                  _words("ckpt_name", *(f"depth_anything_vit{size}14.pth" for size in "lbs")), RESOLUTION,
                  settings={"model": Setting("ckpt_name", _model_size)}, difference=BYTES),
    _preprocessor("DepthAnythingV2Preprocessor", "Depth Anything V2 - Relative", "depth_anything_v2",
                  choice("ckpt_name", *(f"depth_anything_v2_vit{size}.pth" for size in "glbs"),
                         default="depth_anything_v2_vitl.pth", optional=True), RESOLUTION,
                  framing=Framing(afterwards=True), settings={"model": Setting("ckpt_name", _model_size)},
                  difference=BYTES),
)  # fmt: skip

HANDS_BODY_FACE = (_on("detect_hand"), _on("detect_body"), _on("detect_face"))
DRAWN = {"hands": _is("detect_hand"), "body": _is("detect_body"), "face": _is("detect_face")}
THICK = {"thick_limbs": _is("scale_stick_for_xinsr_cn")}
DETECTORS = ("None", "yolox_l.torchscript.pt", "yolox_l.onnx")
DETECTORS += tuple(f"yolo_nas_{size}_fp16.onnx" for size in "lms")


def _detector(file: str) -> str:
    """Ours for a choice of bbox_detector: None takes the whole picture for one person there too."""
    return "none" if file == "None" else "yolox_l"


PEOPLE = (
    _preprocessor("OpenposePreprocessor", "OpenPose Pose", "openpose", *HANDS_BODY_FACE, RESOLUTION,
                  _off("scale_stick_for_xinsr_cn"), settings={**DRAWN, **THICK}),
    _preprocessor("DWPreprocessor", "DWPose Estimator", "dwpose", *HANDS_BODY_FACE, RESOLUTION,
                  choice("bbox_detector", *DETECTORS, default="yolox_l.onnx", optional=True),
                  choice("pose_estimator", "dw-ll_ucoco_384_bs5.torchscript.pt", "dw-ll_ucoco_384.onnx",
                         "dw-ll_ucoco.onnx", default="dw-ll_ucoco_384_bs5.torchscript.pt", optional=True),
                  _off("scale_stick_for_xinsr_cn"), framing=Framing(afterwards=True),
                  settings={**DRAWN, **THICK, "detector": Setting("bbox_detector", _detector)},
                  difference="The weights of .onnx and .torchscript.pt files alike are run by torch, in ComfyUI's "
                  "memory management. YOLOX finds people in the place of YOLO-NAS, dw-ll_ucoco_384 poses them in the "
                  "place of the smaller dw-ll_ucoco. A body that is not drawn is among the keypoints still."),
    _preprocessor("AnimalPosePreprocessor", "AnimalPose Estimator (AP10K)", "animal_pose",
                  choice("bbox_detector", *DETECTORS, default="yolox_l.torchscript.pt", optional=True),
                  choice("pose_estimator", "rtmpose-m_ap10k_256_bs5.torchscript.pt", "rtmpose-m_ap10k_256.onnx",
                         optional=True),
                  RESOLUTION, settings={"detector": Setting("bbox_detector", _detector)},
                  difference="The weights of .onnx and .torchscript.pt files alike are run by torch. YOLOX finds "
                  "animals, in the place of YOLO-NAS too; what looks like a cat and a dog is one animal."),
    _preprocessor("MediaPipe-FaceMeshPreprocessor", "MediaPipe Face Mesh", "mediapipe_face",
                  whole("max_faces", 10, 1, 50, optional=True),
                  number("min_confidence", 0.5, 0.1, 1.0, optional=True), RESOLUTION,
                  settings={"faces": "max_faces",
                            "minimum_score": Setting("min_confidence", lambda score: min(score, 0.95))},
                  difference="The mesh is of MediaPipe's smaller network, its pupils of the iris network. The "
                  "keypoints come out as well."),
)  # fmt: skip

SEGMENTS = tuple(
    _preprocessor(old, label, method, RESOLUTION, difference=difference)
    for old, label, method, difference in (
        ("UniFormer-SemSegPreprocessor", "UniFormer Segmentor", "uniformer_segmentation", ""),
        ("SemSegPreprocessor", "Semantic Segmentor (legacy, alias for UniFormer)", "uniformer_segmentation", ""),
        ("OneFormer-ADE20K-SemSegPreprocessor", "OneFormer ADE20K Segmentor", "oneformer_ade20k", ""),
        ("OneFormer-COCO-SemSegPreprocessor", "OneFormer COCO Segmentor", "oneformer_coco", ""),
    )
)

GAMMA = number("gamma_correction", 1.0, 0.1, 2.0, optional=True)
RATE = number("scale_factor", 1.0, 1.0, 8.0, optional=True)
BLUR = number("blur_strength", 2.0, 1.0, 10.0, optional=True)

PICTURES = (
    _preprocessor("Scribble_XDoG_Preprocessor", "Scribble XDoG Lines", "scribble_xdog",
                  whole("threshold", 32, 1, 64, optional=True), RESOLUTION, settings={"threshold": "threshold"},
                  difference="The strongest lines stay, which drop out of the pack's arithmetic in 8 bits."),
    _preprocessor("ColorPreprocessor", "Color Pallete", "color_grid", RESOLUTION, fixed={"reference_behavior": True},
                  framing=Framing(cubic=False, padded=False), difference=BYTES),
    _preprocessor("ShufflePreprocessor", "Content Shuffle", "shuffle", RESOLUTION,
                  whole("seed", 0, 0, 0xFFFFFFFFFFFFFFFF, optional=True),
                  settings={"seed": Setting("seed", lambda seed: seed % 2**32)},
                  difference="Seed 0 is a seed like others, where the pack draws anew each time."),
    _preprocessor("ImageLuminanceDetector", "Image Luminance", "recolor_luminance", GAMMA, RESOLUTION,
                  settings={"gamma": "gamma_correction"}, fixed={"reference_behavior": True}, difference=BYTES),
    _preprocessor("ImageIntensityDetector", "Image Intensity", "recolor_intensity", GAMMA, RESOLUTION,
                  settings={"gamma": "gamma_correction"}, difference=BYTES),
)  # fmt: skip


def _scribble(image: torch.Tensor, resolution: int) -> tuple[Any, ...]:
    """Ink stays black on white, where our node makes it white on black."""
    (white_on_black,) = Framing(cubic=False).run(preprocessors()["scribble"], image, resolution, {})
    return (1 - white_on_black,)


def _binary(image: torch.Tensor, bin_threshold: int, resolution: int) -> tuple[Any, ...]:
    measure = OTSU if bin_threshold in (0, 255) else LUMA
    settings = {"threshold": bin_threshold, "measure": measure}
    return Framing().run(preprocessors()["threshold"], image, resolution, settings)


def _tile(image: torch.Tensor, pyrUp_iters: int, resolution: int) -> tuple[Any, ...]:
    return (pyramid(as_rgb_on_white(image), int(pyrUp_iters)),)


def _simple_tile(image: torch.Tensor, scale_factor: float, blur_strength: float) -> tuple[Any, ...]:
    return (resample_then_blur(as_rgb_on_white(image), scale_factor, blur_strength),)


def _guided_tile(image: torch.Tensor, resolution: int, **values: Any) -> tuple[Any, ...]:
    """At the picture's own size, whatever the resolution."""
    names = {"rate": "scale_factor", "blur": "blur_strength", "radius": "radius", "epsilon": "eps"}
    settings = {ours: values[old] for ours, old in names.items()}
    return (run_preprocessor(preprocessors()["tile_guided_filter"], image, settings, Options()).image,)


def _inpaint(image: torch.Tensor, mask: torch.Tensor, black_pixel_for_xinsir_cn: bool) -> tuple[Any, ...]:
    marks = list(MARKS.values())
    pictures = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    fitted = torch.nn.functional.interpolate(pictures, image.shape[1:3], mode="bilinear")[:, 0]
    return (mark_masked(image[..., :3], fitted, marks[bool(black_pixel_for_xinsir_cn)]),)


LERES = preprocessors()["leres_depth"]


def _leres(image: torch.Tensor, rm_nearest: float, rm_background: float, resolution: int, **values: Any) -> Any:
    """White is near; what is nearer or farther than a share of the whole range, in percent, is white or black."""
    (depth,) = PADDED.run(LERES, image, resolution, {"network_size": 0})
    if rm_nearest:
        depth = torch.where(1 - depth <= rm_nearest / 100, torch.ones_like(depth), depth)
    if rm_background:
        depth = torch.where(depth <= rm_background / 100, torch.zeros_like(depth), depth)
    return (depth,)


OTHERS = (
    StandIn("LeReS-DepthMapPreprocessor", "LeReS Depth Map (enable boost for leres++)", PACK,
            (image(), number("rm_nearest", 0.0, 0, 100, optional=True),
             number("rm_background", 0.0, 0, 100, optional=True), _off("boost"), RESOLUTION), PICTURE, _leres,
            Replacement(LERES.node_id, {"image": "image", "resolution": "resolution"}, {"network_size": 0}),
            difference="boost does nothing: LeReS++ is not here. The network sees colors as in its training, red "
            "first and 0 to 1; the pack shows it blue first and 0 to 255.", weights=LERES.weights),
    StandIn("ScribblePreprocessor", "Scribble Lines", PACK, (image(), RESOLUTION), PICTURE, _scribble),
    StandIn("BinaryPreprocessor", "Binary Lines", PACK, (image(), _byte("bin_threshold", 100), RESOLUTION), PICTURE,
            _binary, Replacement("ZeroConvThreshold", {
                "image": "image", "threshold": "bin_threshold", "resolution": "resolution"}, {"measure": LUMA})),
    StandIn("TilePreprocessor", "Tile", PACK, (image(), whole("pyrUp_iters", 3, 1, 10, optional=True), RESOLUTION),
            PICTURE, _tile),
    StandIn("TTPlanet_TileSimple_Preprocessor", "TTPlanet Tile Simple", PACK, (image(), RATE, BLUR), PICTURE,
            _simple_tile),
    StandIn("TTPlanet_TileGF_Preprocessor", "TTPlanet Tile GuidedFilter", PACK,
            (image(), RATE, BLUR, whole("radius", 7, 1, 20, optional=True),
             number("eps", 0.01, 0.001, 0.1, 0.001, optional=True), RESOLUTION), PICTURE, _guided_tile,
            Replacement("ZeroConvTileGuidedFilter", {
                "image": "image", "rate": "scale_factor", "blur": "blur_strength", "radius": "radius",
                "epsilon": "eps"}),
            difference="The filter looks at every pixel, the pack's at a smaller copy of the picture."),
    StandIn("InpaintPreprocessor", "Inpaint Preprocessor", PACK,
            (image(), socket("mask", "MASK"), switch("black_pixel_for_xinsir_cn", False, optional=True)), PICTURE,
            _inpaint, Replacement("ZeroConvInpaint", {"image": "image", "mask": "mask"})),
)  # fmt: skip

PREPROCESSORS = (*SOFT_EDGES, *LINES, *DEPTH_AND_NORMALS, *PEOPLE, *SEGMENTS, *PICTURES, *OTHERS)
