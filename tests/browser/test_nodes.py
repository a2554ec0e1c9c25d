"""What the front end asks of custom nodes, for every node of the pack: it mounts, and keeps its values."""

from typing import Any

from zeroconv.comfy_client.browser import VIEW, at_rest
from zeroconv.comfy_client.server import ComfyServer

from .conftest import Canvas

ADD_ALL = """(types) => {
    app.graph.clear()
    types.forEach((type, index) => {
        const node = LiteGraph.createNode(type)
        node.pos = [(index % 10) * 560, Math.floor(index / 10) * 1100]
        app.graph.add(node)
    })
    app.canvas.ds.scale = 0.2
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
CHANGE = """() => app.graph.nodes.map((node) => {
    for (const widget of node.widgets ?? []) {
        if (widget.serialize === false || widget.type === 'button') continue
        const { value, options = {} } = widget
        const choices = typeof options.values === 'function' ? [] : Array.from(options.values ?? [])
        if (choices.length) widget.value = choices.at(-1)
        else if (typeof value === 'boolean') widget.value = !value
        else if (typeof value === 'number') widget.value = value === options.max ? options.min : options.max
        else if (widget.type === 'customtext' || widget.type === 'text') widget.value = 'of the test'
    }
    return node.serialize().widgets_values ?? []
})"""
MOUNTED = "() => document.querySelectorAll('[data-node-id]').length"
SOCKET_COLORS = """(type) => [
    app.canvas.default_connection_color_byType[type],
    app.canvas.constructor.link_type_colors[type],
    getComputedStyle(document.body).getPropertyValue(`--color-datatype-${type}`).trim(),
]"""
VALUES = "() => app.graph.nodes.map((node) => node.serialize().widgets_values ?? [])"


def pack(server: ComfyServer) -> dict[str, Any]:
    info = server.object_info()
    return {name: node for name, node in info.items() if node["python_module"].endswith("comfyui-zeroconv")}


def test_every_node_mounts_and_survives_save_and_reload(canvas: Canvas, server: ComfyServer) -> None:
    page, nodes = canvas.page, pack(server)
    assert len(nodes) > 60
    page.evaluate(ADD_ALL, list(nodes))
    at_rest(page, VIEW)
    if page.evaluate("LiteGraph.vueNodesMode"):
        page.wait_for_function(f"(count) => ({MOUNTED})() === count", arg=len(nodes))
    changed = page.evaluate(CHANGE)
    assert sum(map(len, changed)) > 150
    page.evaluate("() => app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
    at_rest(page, VIEW)
    for name, before, after in zip(nodes, changed, page.evaluate(VALUES), strict=True):
        assert after == before, name
    assert canvas.unknown_nodes() == []
    assert canvas.errors == []


def test_connects_where_types_allow(canvas: Canvas, server: ComfyServer) -> None:
    """Every output of the pack connects to every wired input of the pack of its type, and to no other."""
    wrong = canvas.page.evaluate(
        """(types) => {
            const wrong = []
            const make = (type) => { const node = LiteGraph.createNode(type); app.graph.add(node); return node }
            app.graph.clear()
            const nodes = types.map(make)
            const inputs = nodes.flatMap((node) => node.inputs.map((input, slot) => ({ node, input, slot })))
            const outputs = nodes.flatMap((node) => node.outputs.map((output, slot) => ({ node, output, slot })))
            const kinds = [...new Set(inputs.map(({ input }) => input.type))]
            for (const { node, output, slot } of outputs) {
                for (const kind of kinds) {
                    const target = inputs.find((each) => each.input.type === kind && each.node !== node)
                    if (!target) continue
                    const joined = Boolean(node.connect(slot, target.node, target.slot))
                    const fits = String(kind).split(',').includes(output.type) || kind === '*' || output.type === '*'
                    if (joined !== fits) wrong.push([node.type, output.type, target.node.type, kind, joined])
                    target.node.disconnectInput(target.slot)
                }
            }
            return wrong
        }""",
        list(pack(server)),
    )
    assert wrong == []


def test_own_sockets_have_colors_with_every_palette(canvas: Canvas) -> None:
    canvas.page.evaluate("() => { app.graph.add(LiteGraph.createNode('ZeroConvSchedule')) }")
    palettes = "app.extensionManager.setting.set('Comfy.ColorPalette', palette)"
    try:
        for palette in ("light", "dark"):
            canvas.page.evaluate(f"async (palette) => {{ await {palettes} }}", palette)
            at_rest(canvas.page, "() => getComputedStyle(document.body).backgroundColor")
            colors = set(canvas.page.evaluate(SOCKET_COLORS, "ZEROCONV_SCHEDULE"))
            assert len(colors) == 1, "sockets and wires of both renderers"
            assert colors.isdisjoint({"", None})
    finally:
        canvas.page.evaluate(f"async (palette) => {{ await {palettes} }}", "dark")
    assert canvas.errors == []


SEARCH = """(words) => {
    const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
    return stores.get('nodeDef').nodeSearchService.searchNode(words, [], { limit: 64 }).map((node) => node.name)
}"""
"""What the front end's own search lists, best first."""


WANTED = {
    "controlnet": ("ZeroConvLoad", "ZeroConvApply"),
    "control": ("ZeroConvLoad", "ZeroConvApply"),
    "hint": ("ZeroConvPreprocess",),
    "draw": ("ZeroConvSketch",),
    "sketch": ("ZeroConvSketch",),
    "canny": ("ZeroConvCanny",),
    "openpose": ("ZeroConvOpenpose",),
    "any preprocessor": ("ZeroConvPreprocess",),
}
"""What people type, and the nodes that must be among the first then."""
FIRST = 7
"""Newer hosts have five nodes of their own whose names begin with these words."""


def test_what_people_type_finds_the_nodes(canvas: Canvas) -> None:
    found = {words: canvas.page.evaluate(SEARCH, words) for words in WANTED}
    places = {words: [found[words].index(node) for node in nodes] for words, nodes in WANTED.items()}
    assert all(max(each) < FIRST for each in places.values()), places
