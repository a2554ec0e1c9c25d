import assert from "node:assert/strict"
import { test } from "node:test"
import { DocumentError } from "../../../js/editor/limits.js"
import { EMPTY, parseDrawing, workOf, writeDrawing } from "../../../js/sketch/drawing.js"

const STROKES = [
  { tool: "pen", color: "#ff8000", size: 8, points: [1.5, 2, 30, 40], pressure: [0.25, 1], mirror: "xy" },
  { tool: "eraser", size: 20, points: [5, 5] },
  { tool: "fill", color: "#00ff00", points: [64, 64] },
]

test("a drawing that is written and read is the same drawing", () => {
  const drawing = { width: 640, height: 96, paper: "#102030", strokes: STROKES }
  assert.deepEqual(parseDrawing(writeDrawing(drawing)), drawing)
})

test("nothing drawn is an empty text, and the other way round", () => {
  assert.equal(writeDrawing(EMPTY), "")
  assert.equal(parseDrawing(" \n"), EMPTY)
  assert.notEqual(writeDrawing({ ...EMPTY, paper: "#ffffff" }), "")
})

test("what is not a drawing is refused with a reason", () => {
  const strokes = [
    7,
    { tool: "pen" },
    { tool: "brush", points: [1, 1] },
    { tool: "pen", points: [1] },
    { tool: "pen", points: [1, 1e9] },
    { tool: "pen", points: [1, 1], color: "red" },
    { tool: "pen", points: [1, 1], pressure: [2] },
    { tool: "pen", points: [1, 1], onclick: "alert(1)" },
    { tool: "fill", points: [1, 1, 2, 2] },
  ]
  const texts = ["{", "null", "[]", '{"version": 2}', ...[63, 2049, 64.5, "64"].map((width) => JSON.stringify({ version: 1, width }))]
  texts.push(...strokes.map((stroke) => JSON.stringify({ version: 1, strokes: [stroke] })))
  for (const text of [7, undefined, ...texts]) assert.throws(() => parseDrawing(text), DocumentError, String(text))
})

test("work counts what the lines cover, once for each mirror image", () => {
  const line = { tool: "pen", size: 10, points: [100, 100, 200, 100] }
  const one = workOf({ ...EMPTY, strokes: [line] })
  assert.equal(one, (100 + 12) * 12)
  assert.equal(workOf({ ...EMPTY, strokes: [{ ...line, mirror: "x" }] }), 2 * one)
  assert.equal(workOf({ ...EMPTY, strokes: [{ ...line, mirror: "xy" }] }), 4 * one)
  assert.equal(workOf({ ...EMPTY, strokes: [{ tool: "fill", points: [1, 1] }] }), 512 * 512)
})
