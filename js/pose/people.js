import { PRESETS } from "./presets.js"

/** Hands and faces to start from, and changes to whole people. */

/** @typedef {import("./document.js").Joint} Joint */
/** @typedef {import("./document.js").Part} Part */
/** @typedef {import("./document.js").Person} Person */
/** @typedef {import("./presets.js").Preset} Preset */

/** A hand from its wrist, the fingers upwards: five fingers of four joints, in hundredths of a forearm. */
const HAND = [
  0, 0, -11, -6, -19, -15, -24, -23, -28, -30, -8, -30, -10, -42, -11, -49, -12, -55, -1, -32, -1, -46, -1, -54, -1,
  -61, 6, -30, 8, -43, 9, -50, 9, -56, 12, -26, 16, -35, 18, -41, 19, -46,
]

/** Pairs of body joints that a mirror exchanges. */
const SIDES = [...[2, 3, 4, 8, 9, 10].map((right) => [right, right + 3]), [14, 15], [16, 17]]

/** The face joint that a mirror puts at each place: 68 of iBUG 300-W and the pupils. */
const FACE_SIDES = [
  ...range(16, 0), ...range(26, 17), 27, 28, 29, 30, ...range(35, 31), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
  ...range(54, 48), ...range(59, 55), ...range(64, 60), ...range(67, 65), 69, 68,
]

const WRISTS = { leftHand: [6, 7], rightHand: [3, 4] }

/** The body joint that each hand hangs on. */
export const HAND_WRISTS = { leftHand: WRISTS.leftHand[1], rightHand: WRISTS.rightHand[1] }

/** Where newcomers stand, beside who is there already: parts of the width. */
const PLACES = [0.5, 0.75, 0.25, 0.625, 0.375]

/**
 * A new person in the middle of a canvas, or beside those who are there.
 * @param {Preset} preset
 * @param {number} width
 * @param {number} height
 * @param {number} others how many are there
 * @returns {Person}
 */
export function newPerson(preset, width, height, others = 0) {
  const size = Math.min(height * 0.9, width * 1.6) / 100
  const numbers = PRESETS[preset]
  const x = width * PLACES[others % PLACES.length]
  const body = Array.from({ length: 18 }, (_, place) =>
    joint(x + numbers[2 * place] * size, height / 2 + numbers[2 * place + 1] * size),
  )
  return { body, leftHand: [], rightHand: [], face: [] }
}

/** The person with hands at the wrists, in the direction of the forearms. @param {Person} person @returns {Person} */
export function withHands(person) {
  return { ...person, leftHand: handOf(person, "leftHand"), rightHand: handOf(person, "rightHand") }
}

/** @param {Person} person @param {"leftHand" | "rightHand"} part */
function handOf(person, part) {
  const [elbow, wrist] = WRISTS[part].map((place) => person.body[place])
  if (!elbow || !wrist) return []
  const [dx, dy] = [(wrist.x - elbow.x) / 100, (wrist.y - elbow.y) / 100]
  const side = part === "leftHand" ? 1 : -1
  return Array.from({ length: 21 }, (_, place) => {
    const [across, along] = [side * HAND[2 * place], -HAND[2 * place + 1]]
    return joint(wrist.x + along * dx + across * dy, wrist.y + along * dy - across * dx)
  })
}

/** The person with a face around nose and eyes. @param {Person} person @returns {Person} */
export function withFace(person) {
  const [nose, right, left] = [person.body[0], person.body[14], person.body[15]]
  if (!nose || !right || !left) return person
  const middle = { x: (right.x + left.x) / 2, y: (right.y + left.y) / 2 }
  const apart = Math.max(4, Math.hypot(left.x - right.x, left.y - right.y))
  const turn = Math.atan2(left.y - right.y, left.x - right.x)
  const [cos, sin] = [Math.cos(turn) * apart, Math.sin(turn) * apart]
  return { ...person, face: facePoints().map(([x, y]) => joint(middle.x + x * cos - y * sin, middle.y + x * sin + y * cos)) }
}

/** 70 face joints around the middle of the eyes, whose distance is 1. @returns {[number, number][]} */
function facePoints() {
  const eye = (/** @type {number} */ x) => arc(6, x, 0, 0.24, 0.11, 180, 480)
  return [
    ...arc(17, 0, 0.05, 1.05, 1.6, 180, 0),
    ...arc(5, -0.52, -0.3, 0.32, 0.16, 200, 340),
    ...arc(5, 0.52, -0.3, 0.32, 0.16, 200, 340),
    ...[0, 0.2, 0.4, 0.58].map((y) => /** @type {[number, number]} */ ([0, y])),
    ...arc(5, 0, 0.66, 0.24, 0.08, 180, 0),
    ...eye(-0.5),
    ...eye(0.5),
    ...arc(12, 0, 1.05, 0.42, 0.17, 180, 510),
    ...arc(8, 0, 1.05, 0.3, 0.06, 180, 495),
    [-0.5, 0],
    [0.5, 0],
  ]
}

/** Points on an ellipse, clockwise as seen where the angle grows. @returns {[number, number][]} */
function arc(/** @type {number} */ count, /** @type {number[]} */ ...[x, y, across, down, from, to]) {
  return Array.from({ length: count }, (_, place) => {
    const angle = ((from + ((to - from) * place) / (count - 1)) * Math.PI) / 180
    return [x + across * Math.cos(angle), y + down * Math.sin(angle)]
  })
}

/** @param {Person} person @param {(joint: Joint) => {x: number, y: number}} place @returns {Person} */
export function moved(person, place) {
  /** @param {Part} part */
  const part = (part) => person[part].map((joint) => joint && { ...joint, ...place(joint) })
  return { body: part("body"), leftHand: part("leftHand"), rightHand: part("rightHand"), face: part("face") }
}

/** Seen in a mirror: left becomes right, around the person's middle. @param {Person} person @returns {Person} */
export function mirrored(person) {
  const middle = middleOf(person)
  const { body, leftHand, rightHand, face } = moved(person, ({ x, y }) => ({ x: 2 * middle.x - x, y }))
  const sides = Object.fromEntries(SIDES.flatMap(([one, other]) => [[one, other], [other, one]]))
  return {
    body: body.map((joint, place) => body[sides[place] ?? place] ?? null),
    leftHand: rightHand,
    rightHand: leftHand,
    face: face.map((joint, place) => face[FACE_SIDES[place]] ?? null),
  }
}

/** What a person covers. @param {Person} person */
export function boxOf(person) {
  const joints = [...person.body, ...person.leftHand, ...person.rightHand, ...person.face].flatMap((each) => each ?? [])
  const [xs, ys] = [joints.map(({ x }) => x), joints.map(({ y }) => y)]
  if (!joints.length) return { left: 0, top: 0, right: 0, bottom: 0 }
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }
}

/** Middle of what a person covers. @param {Person} person */
export function middleOf(person) {
  const { left, top, right, bottom } = boxOf(person)
  return { x: (left + right) / 2, y: (top + bottom) / 2 }
}

/**
 * The person with one joint elsewhere; a hand goes with its wrist.
 * @param {Person} person
 * @param {Part} part
 * @param {number} place
 * @param {Partial<Joint>} change
 * @returns {Person}
 */
export function withJoint(person, part, place, change) {
  const old = person[part][place]
  if (!old) return person
  const next = { ...old, ...change }
  /** @type {Record<Part, readonly (Joint | null)[]>} */
  const changed = { ...person, [part]: person[part].map((joint, at) => (at === place ? next : joint)) }
  for (const hand of /** @type {const} */ (["leftHand", "rightHand"])) {
    if (part !== "body" || WRISTS[hand][1] !== place) continue
    changed[hand] = person[hand].map((joint) => joint && { ...joint, x: joint.x + next.x - old.x, y: joint.y + next.y - old.y })
  }
  return changed
}

/** @param {number} x @param {number} y @returns {Joint} */
const joint = (x, y) => ({ x: tenths(x), y: tenths(y), score: 1 })

/** Rounded; plus zero, as the negative zero is written as another text than it is read from. @param {number} value */
const tenths = (value) => Math.round(value * 10) / 10 + 0

/** Numbers downwards, both ends included. @param {number} from @param {number} to */
function range(from, to) {
  return Array.from({ length: from - to + 1 }, (_, place) => from - place)
}
