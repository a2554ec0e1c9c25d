/**
 * A schedule as text: the same notation and the same curve as controlnet/strength/schedule.py.
 * What is a mistake there is one here, at the same place.
 */

/** @typedef {"linear" | "hold" | "ease" | "ease in" | "ease out"} Interpolation */
/** @typedef {{position: number, strength: number, interpolation: Interpolation}} Keyframe */

/** How far the strength has gone to the next keyframe at the fraction t of the way, both 0..1. */
/** @type {Record<Interpolation, (t: number) => number>} */
const CURVES = {
  linear: (t) => t,
  hold: () => 0,
  ease: (t) => t * t * (3 - 2 * t),
  "ease in": (t) => t * t,
  "ease out": (t) => t * (2 - t),
}
export const INTERPOLATIONS = /** @type {Interpolation[]} */ (Object.keys(CURVES))

/** @type {Record<string, Interpolation>} */
const SPELLINGS = {
  "": "linear",
  linear: "linear",
  hold: "hold",
  ease: "ease",
  "ease in": "ease in",
  "ease-in": "ease in",
  "ease out": "ease out",
  "ease-out": "ease out",
  "ease in-out": "ease",
  "ease in out": "ease",
  "ease-in-out": "ease",
}

/** A text that is not a schedule; `place` is where reading it stopped. */
class ScheduleError extends Error {
  /** @param {string} text @param {number} place */
  constructor(text, place) {
    super(text.slice(place))
    this.place = place
  }
}

/** Takes a text apart from left to right. */
class Scanner {
  /** @param {string} text */
  constructor(text) {
    let end = text.trimEnd().length
    while (",;".includes(text.charAt(end - 1)) && end > 0) end--  // a pattern for this takes quadratic time
    this.text = text.slice(0, end).trimEnd()
    this.place = this.text.length - this.text.trimStart().length
  }

  get atEnd() {
    return this.place >= this.text.length
  }

  number() {
    const { place } = this
    const value = Number(this.take(/[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/y) ?? this.fail())
    return Number.isFinite(value) ? value : this.fail(place)
  }

  words() {
    const found = []
    for (let word; (word = this.take(/[A-Za-z][A-Za-z-]*/y)); ) found.push(word.toLowerCase())
    return found.join(" ")
  }

  /**
   * What matches after blanks; the place moves past it and the blanks behind it.
   * @param {RegExp} pattern sticky
   * @returns {string | undefined}
   */
  take(pattern) {
    this.#skip()
    pattern.lastIndex = this.place
    const found = pattern.exec(this.text)?.[0]
    if (found === undefined) return undefined
    this.place += found.length
    this.#skip()
    return found
  }

  /** @param {number} place @returns {never} */
  fail(place = this.place) {
    throw new ScheduleError(this.text, place)
  }

  #skip() {
    const blanks = /[^\S\n]*/y
    blanks.lastIndex = this.place
    this.place += blanks.exec(this.text)?.[0].length ?? 0
  }
}

/**
 * Read `position: strength interpolation, ...`.
 * @param {string} text
 * @param {string} counting
 * @returns {Keyframe[]} at least one
 */
export function parseSchedule(text, counting) {
  const scanner = new Scanner(text)
  /** @type {Keyframe[]} */
  const keyframes = []
  if (scanner.atEnd) scanner.fail()
  while (!scanner.atEnd) {
    const start = scanner.place
    const keyframe = readKeyframe(scanner)
    if (!fits(keyframe, keyframes.at(-1), counting)) scanner.fail(start)
    keyframes.push(keyframe)
    if (!scanner.atEnd && scanner.take(/\s*[,;\n]\s*/y) === undefined) scanner.fail()
  }
  return keyframes
}

/** @param {Scanner} scanner @returns {Keyframe} */
function readKeyframe(scanner) {
  const position = scanner.number()
  if (scanner.take(/:/y) === undefined) scanner.fail()
  const strength = scanner.number()
  const { place } = scanner
  const words = scanner.words()
  if (!Object.hasOwn(SPELLINGS, words)) scanner.fail(place)
  return { position, strength, interpolation: SPELLINGS[words] }
}

/**
 * Whether a keyframe may follow another: inside the sampling, and not before it.
 * @param {Keyframe} keyframe
 * @param {Keyframe | undefined} previous
 * @param {string} counting
 */
function fits({ position }, previous, counting) {
  if (position < 0 || (counting !== "sigma" && position > 1)) return false
  return !previous || orderOf(position, counting) >= orderOf(previous.position, counting)
}

/**
 * The text of keyframes; the entries are parted as in a text that they replace.
 * @param {readonly Keyframe[]} keyframes
 * @param {string} replaced
 * @returns {string}
 */
export function formatSchedule(keyframes, replaced = "") {
  const entries = keyframes.map(({ position, strength, interpolation }) =>
    [`${position}: ${strength}`, ...(interpolation === "linear" ? [] : [interpolation])].join(" "),
  )
  return entries.join(replaced.trim().includes("\n") ? "\n" : ", ")
}

/**
 * The factor at a position; constant before and after all keyframes.
 * @param {readonly Keyframe[]} keyframes
 * @param {number} position
 * @param {string} counting
 * @returns {number}
 */
export function factorAt(keyframes, position, counting) {
  const here = orderOf(position, counting)
  const after = keyframes.findIndex((keyframe) => orderOf(keyframe.position, counting) > here)
  if (after === 0) return keyframes[0].strength
  const before = keyframes.at(after < 0 ? -1 : after - 1) ?? keyframes[0]
  if (after < 0) return before.strength
  const towards = keyframes[after]
  const way = CURVES[before.interpolation]((position - before.position) / (towards.position - before.position))
  return before.strength * (1 - way) + towards.strength * way
}

/** A number that rises during the sampling; sigma falls. @param {number} position @param {string} counting */
export const orderOf = (position, counting) => (counting === "sigma" ? -position : position)
