import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { Layers } from "../../../js/sketch/layers.js"
import { chance } from "../chance.js"

const SIZE = { width: 96, height: 64, paper: "#000000" }

/** What a browser has: pictures, and a canvas that takes them. */
class FakeImageData {
  constructor(width, height) {
    this.data = new Uint8ClampedArray(4 * width * height)
  }
}
const canvas = () => ({ width: 96, height: 64, getContext: () => ({ putImageData() {} }) })

beforeEach(() => {
  globalThis.ImageData = FakeImageData
})

function strokes(count) {
  const random = chance(count)
  return Array.from({ length: count }, (_, at) => ({
    tool: at % 5 === 4 ? "eraser" : "pen",
    color: "#" + Math.floor(random(0, 2 ** 24)).toString(16).padStart(6, "0"),
    size: random(1, 12),
    points: [random(0, 96), random(0, 64), random(0, 96), random(0, 64)],
  }))
}

test("undo, redo and another branch show the pixels of the strokes drawn from the first on", () => {
  const all = strokes(130)
  const layers = new Layers(canvas())
  layers.show({ ...SIZE, strokes: all })
  const other = [...all.slice(0, 70), ...strokes(9)]
  for (const shown of [all.slice(0, 129), all.slice(0, 79), all, all.slice(0, 3), other, all, []]) {
    layers.show({ ...SIZE, strokes: shown })
    const afresh = new Layers(canvas())
    afresh.show({ ...SIZE, strokes: shown })
    assert.deepEqual(layers.raster.layer, afresh.raster.layer, `${shown.length} strokes`)
  }
})

test("an undo draws at most forty strokes again", () => {
  const all = strokes(130)
  const layers = new Layers(canvas())
  layers.show({ ...SIZE, strokes: all })
  let drawn = 0
  const { raster } = layers
  const draw = raster.draw.bind(raster)
  raster.draw = (stroke) => (drawn++, draw(stroke))
  layers.show({ ...SIZE, strokes: all.slice(0, 129) })
  assert.ok(drawn <= 40, String(drawn))
})
