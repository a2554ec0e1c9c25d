/**
 * Poses as data: the text in the workflow is one OpenPose frame, as preprocessors/pose/document.py describes it. Read
 * and checked here before anything is made of it.
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

/** x and y in pixels of the canvas; a hidden joint is not drawn. */
/** @typedef {{x: number, y: number, score: number}} Joint */
/** @typedef {"body" | "leftHand" | "rightHand" | "face"} Part */
/** The joints of each part, in OpenPose's order; null where there never was one. */
/** @typedef {Readonly<Record<Part, readonly (Joint | null)[]>>} Person */
/** @typedef {{width: number, height: number, people: readonly Person[]}} Poses */

export const MOST_PEOPLE = 100

/** Key in the text and the most joints. @type {Record<Part, [string, number]>} */
const FORMAT = {
  body: ["pose_keypoints_2d", 18],
  face: ["face_keypoints_2d", 70],
  leftHand: ["hand_left_keypoints_2d", 21],
  rightHand: ["hand_right_keypoints_2d", 21],
}

/** Parts in the order in which they are drawn. @type {readonly Part[]} */
export const PARTS = ["body", "leftHand", "rightHand", "face"]

/** @type {Poses} */
export const EMPTY = Object.freeze({ width: 512, height: 512, people: [] })

/**
 * Read poses; an empty text is an empty canvas.
 * @param {unknown} text
 * @returns {Poses}
 */
export function parsePoses(text) {
  const written = checkedText(text)
  return written ? posesOf(parsedText(written)) : EMPTY
}

/**
 * The poses of an OpenPose frame.
 * @param {any} frame
 * @returns {Poses}
 */
export function posesOf(frame) {
  if (!isRecord(frame)) throw new DocumentError("not an OpenPose frame")
  const { canvas_width: width, canvas_height: height, people } = frame
  checkCanvas(width, height)
  if (!Array.isArray(people) || people.length > MOST_PEOPLE) throw new DocumentError("people")
  return { width, height, people: people.map(checkedPerson) }
}

/** @param {Poses} poses @returns {string} */
export function writePoses({ width, height, people }) {
  return JSON.stringify({ canvas_width: width, canvas_height: height, people: people.map(writtenPerson) })
}

/** @param {Person} person */
function writtenPerson(person) {
  const parts = PARTS.filter((part) => person[part].length).map((part) => [
    FORMAT[part][0],
    person[part].flatMap((joint) => (joint ? [tenth(joint.x), tenth(joint.y), joint.score] : [0, 0, 0])),
  ])
  return Object.fromEntries(parts)
}

/** @param {unknown} person @param {number} place @returns {Person} */
function checkedPerson(person, place) {
  if (!isRecord(person)) throw new DocumentError(`person ${place + 1}`)
  const parts = PARTS.map((part) => {
    const [key, most] = FORMAT[part]
    const numbers = person[key] ?? []
    if (!Array.isArray(numbers) || numbers.length % 3 || numbers.length > 3 * most) {
      throw new DocumentError(`${key} of person ${place + 1}`)
    }
    const joints = []
    for (let at = 0; at < numbers.length; at += 3) joints.push(checkedJoint(numbers.slice(at, at + 3), key))
    return [part, joints.some(Boolean) ? joints : []]
  })
  return Object.fromEntries(parts)
}

/** @param {unknown[]} numbers @param {string} where @returns {Joint | null} */
function checkedJoint([x, y, score], where) {
  if (!isNumber(x, -FARTHEST, LARGEST + FARTHEST) || !isNumber(y, -FARTHEST, LARGEST + FARTHEST)) {
    throw new DocumentError(where)
  }
  if (!isNumber(score, 0, 1)) throw new DocumentError(where)
  return score === 0 && x === 0 && y === 0 ? null : { x, y, score }
}

/**
 * The joint next to a place, of all people.
 * @param {Poses} poses
 * @param {{x: number, y: number}} place
 * @param {number} reach no joint is farther than this
 * @returns {{person: number, part: Part, place: number} | null}
 */
export function nearestJoint({ people }, { x, y }, reach) {
  const joints = people.flatMap((each, person) =>
    PARTS.flatMap((part) =>
      each[part].map((joint, place) => ({
        address: { person, part, place },
        // The wrist of a hand lies on that of the body, which takes the hand with it.
        away: joint && (place || !part.endsWith("Hand")) ? Math.hypot(joint.x - x, joint.y - y) : Infinity,
      })),
    ),
  )
  const nearest = joints.reduce((one, other) => (other.away < one.away ? other : one), joints[0])
  return nearest?.away <= reach ? nearest.address : null
}

/** @type {(value: number) => number} */
const tenth = (value) => Math.round(Math.min(LARGEST + FARTHEST, Math.max(-FARTHEST, value)) * 10) / 10
