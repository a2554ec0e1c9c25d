import assert from "node:assert/strict"
import { test } from "node:test"
import { simplified } from "../../../js/sketch/simplify.js"
import { chance } from "../chance.js"

/** How far a point lies from a line through points, in pixels. */
function distance(x, y, points) {
  let least = Infinity
  for (let at = 0; at + 3 < points.length; at += 2) {
    const [x1, y1, x2, y2] = points.slice(at, at + 4)
    const [dx, dy] = [x2 - x1, y2 - y1]
    const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)))
    least = Math.min(least, Math.hypot(x1 + along * dx - x, y1 + along * dy - y))
  }
  return least
}

test("no point of a stroke lies farther than half a pixel from the simplified one, which has fewer", () => {
  for (let seed = 0; seed < 20; seed++) {
    const random = chance(seed)
    const [a, b] = [random(0.01, 0.2), random(10, 80)]
    const points = Array.from({ length: 200 }, (_, step) => [2 * step, 100 + b * Math.sin(a * step)]).flat()
    const { points: kept } = simplified({ tool: "pen", size: 8, points })
    assert.ok(kept.length < points.length)
    assert.deepEqual([kept[0], kept.at(-2)], [points[0], points.at(-2)])
    for (let at = 0; at < points.length; at += 2) {
      // The tolerance of 0.3, and a tenth of rounding across and down at both ends.
      assert.ok(distance(points[at], points[at + 1], kept) < 0.3 + 0.1 * Math.SQRT2)
    }
  }
})

test("a straight line keeps its ends alone", () => {
  const points = Array.from({ length: 50 }, (_, step) => [step, 2 * step]).flat()
  assert.deepEqual(simplified({ tool: "pen", size: 3, points }).points, [0, 0, 49, 98])
})

test("pressure that turns is kept, pressure that stays becomes the size", () => {
  const points = Array.from({ length: 11 }, (_, step) => [10 * step, 0]).flat()
  const turning = simplified({ tool: "pen", size: 20, points, pressure: points.slice(0, 11).map((_, at) => (at < 6 ? at / 5 : 2 - at / 5)) })
  assert.deepEqual(turning.points, [0, 0, 50, 0, 100, 0])
  assert.deepEqual(turning.pressure, [0, 1, 0])
  const even = simplified({ tool: "pen", size: 20, points, pressure: Array(11).fill(0.5) })
  assert.deepEqual([even.size, even.pressure], [10, undefined])
})
