/**
 * A drawing as data: the same text format and the same limits as preprocessors/sketch/drawing.py.
 * What a workflow file brings is checked here before anything is made of it.
 */

import {
  checkCanvas,
  checkedText,
  DocumentError,
  FARTHEST,
  isNumber,
  isRecord,
  LARGEST,
  parsedText,
} from "../editor/limits.js"

/** @typedef {"pen" | "eraser" | "fill"} Tool */
/** @typedef {"" | "x" | "y" | "xy"} Mirror */
/**
 * One movement of a tool; `points` are x, y in turn in pixels, `size` a diameter, `pressure` 0..1 for each point.
 * @typedef {{tool: Tool, color?: string, size?: number, points: number[], pressure?: number[], mirror?: Mirror}} Stroke
 */
/** @typedef {{width: number, height: number, paper: string, strokes: readonly Stroke[]}} Drawing */

export const LARGEST_BRUSH = 512
/** Pixels that all strokes together may touch, a pixel once for each line over it: some seconds of work. */
export const MOST_WORK = 4e9
const MOST_STROKES = 20_000
const TOOLS = ["pen", "eraser", "fill"]
const MIRRORS = ["", "x", "y", "xy"]
const FIELDS = new Set(["tool", "color", "size", "points", "pressure", "mirror"])
const COLOR = /^#[0-9a-f]{6}$/

/** @type {Drawing} */
export const EMPTY = Object.freeze({ width: 512, height: 512, paper: "#000000", strokes: [] })

/**
 * Read a drawing; an empty text is an empty black canvas.
 * @param {unknown} text
 * @returns {Drawing}
 */
export function parseDrawing(text) {
  const written = checkedText(text)
  if (!written) return EMPTY
  const value = parsedText(written)
  if (!isRecord(value) || value.version !== 1) throw new DocumentError("not a drawing of version 1")
  const { width = EMPTY.width, height = EMPTY.height, paper = EMPTY.paper, strokes = [] } = value
  checkCanvas(width, height)
  if (!isColor(paper)) throw new DocumentError("paper")
  if (!Array.isArray(strokes) || strokes.length > MOST_STROKES) throw new DocumentError("strokes")
  const drawing = { width, height, paper, strokes: strokes.map((stroke, index) => checkedStroke(stroke, index + 1)) }
  if (workOf(drawing) > MOST_WORK) throw new DocumentError("too many wide strokes")
  return drawing
}

/**
 * How many pixels the strokes touch, as MOST_WORK counts them.
 * @param {Drawing} drawing
 * @returns {number}
 */
export function workOf({ width, height, strokes }) {
  let work = 0
  for (const { tool, points, size = 1, mirror = "" } of strokes) {
    let pixels = tool === "fill" ? width * height : 0
    for (let at = 2; at < points.length; at += 2) {
      const across = Math.min(width, Math.abs(points[at] - points[at - 2]) + size + 2)
      pixels += across * Math.min(height, Math.abs(points[at + 1] - points[at - 1]) + size + 2)
    }
    work += pixels * 2 ** mirror.length
  }
  return work
}

/** @type {WeakMap<Stroke, string>} */
const texts = new WeakMap()

/**
 * The drawing's text; that of a stroke is made once, as the front end asks for the text at every click.
 * @param {Drawing} drawing
 * @returns {string}
 */
export function writeDrawing({ width, height, paper, strokes }) {
  if (!strokes.length && width === EMPTY.width && height === EMPTY.height && paper === EMPTY.paper) return ""
  const parts = strokes.map((stroke) => {
    const text = texts.get(stroke) ?? JSON.stringify(stroke)
    texts.set(stroke, text)
    return text
  })
  return `{"version":1,"width":${width},"height":${height},"paper":"${paper}","strokes":[${parts.join(",")}]}`
}

/**
 * @param {any} value
 * @param {number} place
 * @returns {Stroke}
 */
function checkedStroke(value, place) {
  if (!isRecord(value) || !Object.keys(value).every((key) => FIELDS.has(key))) throw new DocumentError(`stroke ${place}`)
  const { tool, color = "#ffffff", size = 1, points, pressure, mirror = "" } = value
  /** @type {(fits: boolean, what: string) => void} */
  const need = (fits, what) => {
    if (!fits) throw new DocumentError(`stroke ${place}: ${what}`)
  }
  need(TOOLS.includes(tool), "tool")
  need(MIRRORS.includes(mirror), "mirror")
  need(isColor(color), "color")
  need(isNumber(size, 0.5, LARGEST_BRUSH), "size")
  need(Array.isArray(points) && points.length > 0 && points.length % 2 === 0, "points")
  need(tool !== "fill" || points.length === 2, "points")
  need(points.every((/** @type {unknown} */ number) => isNumber(number, -FARTHEST, LARGEST + FARTHEST)), "points")
  if (pressure !== undefined) {
    need(Array.isArray(pressure) && pressure.length === points.length / 2, "pressure")
    need(pressure.every((/** @type {unknown} */ number) => isNumber(number, 0, 1)), "pressure")
  }
  return /** @type {Stroke} */ (value)
}

/** @type {(value: unknown) => boolean} */
const isColor = (value) => typeof value === "string" && COLOR.test(value)
