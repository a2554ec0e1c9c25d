import assert from "node:assert/strict"
import { test } from "node:test"
import { Raster, union } from "../../../js/sketch/raster.js"

/** The sum of how far the pixels are covered, in pixels. */
const area = ({ layer }) => layer.filter((_, at) => at % 4 === 3).reduce((sum, alpha) => sum + alpha / 255, 0)

test("a dot covers the area of a disc, a line that of a capsule", () => {
  for (const size of [9, 20, 41]) {
    const dot = new Raster(100, 100)
    dot.draw({ tool: "pen", size, points: [50, 50] })
    const disc = Math.PI * (size / 2) ** 2
    assert.ok(Math.abs(area(dot) - disc) < 0.01 * disc, `dot of ${size}`)
    const line = new Raster(100, 100)
    line.draw({ tool: "pen", size, points: [30, 40, 70, 70] })
    assert.ok(Math.abs(area(line) - (disc + 50 * size)) < 0.01 * (disc + 50 * size), `line of ${size}`)
  }
})

test("an eraser takes out what a pen has laid, of all its mirror images too", () => {
  const raster = new Raster(80, 60)
  const stroke = { color: "#ff0000", size: 6, points: [10, 10, 30, 20], mirror: "xy" }
  raster.draw({ tool: "pen", ...stroke })
  const corners = [[20, 15], [59, 15], [20, 44], [59, 44]].map(([x, y]) => raster.layer[4 * (80 * y + x)])
  assert.deepEqual(corners, [255, 255, 255, 255])
  raster.draw({ tool: "eraser", ...stroke, size: 9 })
  assert.equal(area(raster), 0)
})

test("fill stops at a closed line", () => {
  const raster = new Raster(64, 64)
  raster.draw({ tool: "pen", color: "#ffffff", size: 3, points: [16, 16, 48, 16, 48, 48, 16, 48, 16, 16] })
  raster.draw({ tool: "fill", color: "#0000ff", points: [32.5, 32.5] })
  const at = (x, y) => [...raster.layer.slice(4 * (64 * y + x), 4 * (64 * y + x) + 4)]
  assert.deepEqual(at(20, 20), [0, 0, 255, 255])
  assert.deepEqual(at(4, 4), [0, 0, 0, 0])
})

test("a stroke that grows is the stroke drawn at once", () => {
  const stroke = { tool: "pen", color: "#c08040", size: 12, points: [5, 5, 40, 9, 50, 40, 20, 50], pressure: [1, 0.2, 0.7, 1] }
  const [grown, whole] = [new Raster(64, 64), new Raster(64, 64)]
  let box = null
  for (let count = 2; count <= 4; count++) {
    const part = { ...stroke, points: stroke.points.slice(0, 2 * count), pressure: stroke.pressure.slice(0, count) }
    box = union(box, grown.cover(part, count - 2))
  }
  grown.lay(stroke, box)
  whole.draw(stroke)
  assert.deepEqual(grown.layer, whole.layer)
})
