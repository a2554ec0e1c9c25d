/**
 * Fewer points for the same line (Ramer 1972, Douglas and Peucker 1973), in place and pressure at once.
 */

/** @typedef {import("./drawing.js").Stroke} Stroke */

/** Pixels that a point may lie beside the line; below what the soft edge of a stroke shows. */
const TOLERANCE = 0.3

/**
 * The stroke with the points that shape it, rounded as they are saved: tenths of pixels, hundredths of pressure.
 * @param {Stroke} stroke
 * @returns {Stroke}
 */
export function simplified(stroke) {
  const { points, pressure, size = 1 } = stroke
  const kept = keptPoints(points, pressure, size / 2)
  const constant = !pressure || pressure.every((value) => value === pressure[0])
  const result = { ...stroke, points: kept.flatMap((at) => [tenth(points[at * 2]), tenth(points[at * 2 + 1])]) }
  if (constant) delete result.pressure
  else result.pressure = kept.map((at) => Math.round(pressure[at] * 100) / 100)
  if (constant && pressure && pressure[0] < 1) result.size = Math.max(0.5, tenth(size * pressure[0]))
  return result
}

/**
 * Indices of the points to keep, in order.
 * @param {number[]} points
 * @param {number[] | undefined} pressure
 * @param {number} radius
 * @returns {number[]}
 */
function keptPoints(points, pressure, radius) {
  const last = points.length / 2 - 1
  const keep = new Set([0, last])
  const spans = [[0, last]]
  while (spans.length) {
    const [first, end] = /** @type {number[]} */ (spans.pop())
    let farthest = TOLERANCE
    let split = -1
    for (let index = first + 1; index < end; index++) {
      const far = distance(points, pressure, radius, [index, first, end])
      if (far > farthest) [farthest, split] = [far, index]
    }
    if (split < 0) continue
    keep.add(split)
    spans.push([first, split], [split, end])
  }
  return [...keep].sort((one, other) => one - other)
}

/**
 * How far a point's edge lies from that of the straight line between two others.
 * @param {number[]} points
 * @param {number[] | undefined} pressure
 * @param {number} radius
 * @param {number[]} indices the point, the line's first and second end
 * @returns {number}
 */
function distance(points, pressure, radius, [index, first, end]) {
  const [x, y] = [points[first * 2], points[first * 2 + 1]]
  const [dx, dy] = [points[end * 2] - x, points[end * 2 + 1] - y]
  const [px, py] = [points[index * 2] - x, points[index * 2 + 1] - y]
  const along = Math.min(1, Math.max(0, (px * dx + py * dy) / (dx * dx + dy * dy || 1)))
  const beside = Math.hypot(px - along * dx, py - along * dy)
  if (!pressure) return beside
  const expected = pressure[first] + along * (pressure[end] - pressure[first])
  return beside + radius * Math.abs(pressure[index] - expected)
}

/** @type {(value: number) => number} */
const tenth = (value) => Math.round(value * 10) / 10
