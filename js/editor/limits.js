/** What both documents, drawings and poses, may hold at most, and the checks that hold a text of a workflow to it. */

/** Edges of a canvas, in pixels. */
export const SMALLEST = 64
export const LARGEST = 2048
/** How far beside the canvas a point may lie, in pixels. */
export const FARTHEST = 4096
/** Characters of a document in a workflow. */
export const LARGEST_TEXT = 1_000_000

/** A text that is not a document; the message says what is wrong with it. */
export class DocumentError extends Error {}

/** A text without the blanks around it. @param {unknown} text @returns {string} */
export function checkedText(text) {
  if (typeof text !== "string") throw new DocumentError("not a text")
  const written = text.trim()
  if (written && text.length > LARGEST_TEXT) throw new DocumentError(`${text.length} characters`)
  return written
}

/** @param {string} text @returns {any} */
export function parsedText(text) {
  try {
    return JSON.parse(text)
  } catch {
    throw new DocumentError("not JSON")
  }
}

/** @param {unknown[]} edges */
export function checkCanvas(...edges) {
  if (!edges.every((edge) => Number.isInteger(edge) && isNumber(edge, SMALLEST, LARGEST))) {
    throw new DocumentError("canvas size")
  }
}

/** @type {(value: unknown) => value is Record<string, any>} */
export const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value)

/** @type {(value: unknown, low: number, high: number) => value is number} */
export const isNumber = (value, low, high) => typeof value === "number" && value >= low && value <= high
