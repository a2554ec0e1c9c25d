import { LiveStroke } from "./brush.js"

/** @typedef {import("./pointers.js").Pointers} Pointers */

/** Single keys on the stage. @type {Record<string, (pointers: Pointers, event: KeyboardEvent) => void>} */
const KEYS = {
  "[": ({ pad }) => pad.setBrush({ size: Math.min(pad.brush.size - 1, pad.brush.size / 1.2) }),
  "]": ({ pad }) => pad.setBrush({ size: Math.max(pad.brush.size + 1, pad.brush.size * 1.2) }),
  b: ({ pad }) => pad.setBrush({ tool: "pen" }),
  e: ({ pad }) => pad.setBrush({ tool: "eraser" }),
  g: ({ pad }) => pad.setBrush({ tool: "fill" }),
  m: ({ pad }) => pad.toolbar.nextMirror(),
  "+": ({ pad }) => pad.gestures.zoom(1.25),
  "-": ({ pad }) => pad.gestures.zoom(0.8),
  enter: (pointers) => penDownOrUp(pointers),
  arrowleft: (pointers, event) => movePen(pointers, event, -1, 0),
  arrowright: (pointers, event) => movePen(pointers, event, 1, 0),
  arrowup: (pointers, event) => movePen(pointers, event, 0, -1),
  arrowdown: (pointers, event) => movePen(pointers, event, 0, 1),
}

/**
 * A key on the stage. Escape drops the stroke in work; without one it leaves the large view, as the browser sees to.
 * @param {Pointers} pointers
 * @param {KeyboardEvent} event
 */
export function keyPressed(pointers, event) {
  if (event.ctrlKey || event.metaKey) return
  const key = event.key.toLowerCase()
  if (key === "escape" && pointers.stroke) pointers.dropStroke()
  else if (Object.hasOwn(KEYS, key)) KEYS[key](pointers, event)
  else return
  event.preventDefault()
}

/** Enter puts the keyboard's pen down where it is, and lifts it. @param {Pointers} pointers */
function penDownOrUp(pointers) {
  const { pad } = pointers
  if (pad.broken) return
  if (pointers.stroke) return pointers.finishStroke()
  const { x, y } = penOf(pointers)
  const stroke = pad.brush.begin(false)
  if (stroke.tool === "fill") return pad.addStroke({ ...stroke, points: [x, y] })
  pointers.stroke = new LiveStroke(stroke, pad.layers)
  pointers.stroke.add([{ x, y, pressure: 1 }])
}

/**
 * Arrows move the keyboard's pen by 8 pixels, by 1 with Alt.
 * @param {Pointers} pointers
 * @param {KeyboardEvent} event
 * @param {number} dx
 * @param {number} dy
 */
function movePen(pointers, event, dx, dy) {
  const { width, height } = pointers.pad.drawing
  const step = event.altKey ? 1 : 8
  const { x, y } = penOf(pointers)
  pointers.pen = {
    x: Math.min(width - 0.5, Math.max(0.5, x + dx * step)),
    y: Math.min(height - 0.5, Math.max(0.5, y + dy * step)),
  }
  pointers.stroke?.add([{ ...pointers.pen, pressure: 1 }])
  pointers.showCircle(pointers.pen)
}

/** @param {Pointers} pointers */
function penOf({ pen, pad }) {
  return pen ?? { x: pad.drawing.width / 2, y: pad.drawing.height / 2 }
}
