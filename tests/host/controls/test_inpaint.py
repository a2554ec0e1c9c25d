"""Inpainting ControlNets through Apply: the latents of core's own inpainting nodes, and what is refused."""

import pytest
import torch
from support.comfy_host import import_host
from support.dit_models import dit_model, dit_prompts, sample_dit
from support.hosted import FAMILIES, INPAINTING, Vae, from_tensors, tiny, vae_of
from support.model_patches import PATCHES, core_apply, core_patch, has_z_image, here, metadata, tensors
from support.sampling import hint, ours, prompts

import_host()

import comfy.controlnet
from comfy_extras.nodes_controlnet import ControlNetInpaintingAliMamaApply
from zeroconv.controlnet.formats import recognise
from zeroconv.host.loading.load import control_from_tensors
from zeroconv.nodes.control.apply import ZeroConvApply
from zeroconv.storage.weights import shapes_of

Z_IMAGE = [name for name in PATCHES if name.startswith("z-image ")]
MASKED = [name for name in here() if "inpaint" in name or "aspp" in name]
needs_z_image = pytest.mark.skipif(not has_z_image(), reason="this ComfyUI has no Z-Image ControlNets")


@pytest.fixture(scope="module")
def models():
    made = {}
    return lambda name: made.setdefault(name, None) or made.update({name: dit_model(name)}) or made[name]


def image(seed=2, count=1):
    """Of the latent's own size, which all of core's nodes take as it is."""
    return torch.rand(count, 64, 96, 3, generator=torch.Generator().manual_seed(seed))


def hole(*columns, size=(64, 96)):
    """A mask for each given column: white to its left."""
    mask = torch.zeros(len(columns), *size)
    for number, column in enumerate(columns):
        mask[number, :, :column] = 1
    return mask


def apply(control, vae, picture, given=None, **inpainting):
    positive, negative = given or dit_prompts()
    return ZeroConvApply.execute(positive, negative, control, picture, 0.8, 0.0, 1.0, vae, **inpainting).args


def controls(name):
    """Ours and core's, of the same file."""
    with tiny(INPAINTING[name]):
        mine = from_tensors(INPAINTING[name].tensors(), name)
        theirs = comfy.controlnet.load_controlnet_state_dict(INPAINTING[name].tensors())
    assert theirs.concat_mask
    return mine, theirs


@pytest.mark.parametrize("name", INPAINTING)
@pytest.mark.parametrize("columns", [(40,), (40, 70)], ids=["one mask", "a mask for each picture"])
def test_the_latents_of_alimamas_node(name, columns, models):
    family, (mine, theirs) = INPAINTING[name], controls(name)
    vae, mask, picture = vae_of(family), hole(*columns), image(count=len(columns))
    by_core = ControlNetInpaintingAliMamaApply.execute(*dit_prompts(), theirs, vae, picture, mask, 0.8, 0.0, 1.0).args

    def draw(given):
        return sample_dit(name, models(name), [], pictures=2, prompts=given)

    expected = draw(by_core)
    assert torch.equal(draw(apply(mine, vae, picture, inpaint_mask=mask)), expected)
    assert torch.equal(draw(apply(theirs, vae, picture, inpaint_mask=mask)), expected), "core's control through Apply"
    other = draw(apply(mine, vae, picture, inpaint_mask=hole(20)))
    assert not torch.equal(other, expected)


def patch_of(name):
    weights = tensors(name)
    return control_from_tensors(weights, name, form=recognise(shapes_of(weights)), metadata=metadata(name))


@pytest.mark.parametrize("name", MASKED)
def test_the_latents_of_cores_node_for_a_mask_beside_the_hint(name, models):
    base, vae, mask = PATCHES[name], Vae(16, frames=True), hole(40)
    patched = core_apply(models(base), core_patch(name, tensors(name)), vae, image(), 0.8, mask=mask)
    mine = sample_dit(base, models(base), [], prompts=apply(patch_of(name), vae, image(), inpaint_mask=mask))
    assert torch.equal(mine, sample_dit(base, patched, []))
    other = apply(patch_of(name), vae, image(), inpaint_mask=hole(8))
    assert not torch.equal(mine, sample_dit(base, models(base), [], prompts=other))


@needs_z_image
@pytest.mark.parametrize("name", Z_IMAGE)
@pytest.mark.parametrize("masked", [True, False])
def test_the_latents_of_z_images_node(name, masked, models):
    vae, picture = Vae(16), image(seed=9)
    inpainting = {"mask": hole(40)} if masked else {}
    patched = core_apply(
        models("z-image"), core_patch(name, tensors(name)), vae, image(), 0.8, inpaint_image=picture, **inpainting
    )
    given = {"inpaint_mask": hole(40)} if masked else {}
    mine = apply(patch_of(name), vae, image(), inpaint_image=picture, **given)
    drawn = sample_dit("z-image", models("z-image"), [], prompts=mine)
    assert torch.equal(drawn, sample_dit("z-image", patched, []))
    without = sample_dit("z-image", models("z-image"), [], prompts=apply(patch_of(name), vae, image()))
    assert not torch.equal(drawn, without)


@pytest.mark.parametrize("given", ["inpaint_mask", "inpaint_image"])
def test_a_network_that_does_not_inpaint_says_so(given):
    value = hole(40) if given == "inpaint_mask" else image()
    with pytest.raises(ValueError, match=f"is not an inpainting ControlNet, but {given} of ControlNet Apply is wired"):
        apply(ours(1), None, hint(), prompts(), **{given: value})
    with pytest.raises(ValueError, match="Take the wire off"):
        apply(controls_of_core(), None, hint(), prompts(), **{given: value})


def controls_of_core():
    with tiny(FAMILIES["flux xlabs"]):
        return comfy.controlnet.load_controlnet_state_dict(FAMILIES["flux xlabs"].tensors())


def test_what_an_inpainting_network_needs_or_cannot_take():
    control, vae = controls("flux")[0], Vae(16)
    with pytest.raises(ValueError, match="wire a mask to inpaint_mask"):
        apply(control, vae, image())
    with pytest.raises(ValueError, match="sees one picture only"):
        apply(control, vae, image(), inpaint_image=image(), inpaint_mask=hole(40))
    with pytest.raises(ValueError, match="different numbers of pictures: image 2, inpaint_mask 3"):
        apply(control, vae, image(count=2), inpaint_mask=hole(1, 2, 3))
