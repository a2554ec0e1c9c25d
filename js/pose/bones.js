/** Joints that turn about the joint that they hang on, so that every bone keeps its length. */

import { HAND_WRISTS, moved } from "./people.js"

/** @typedef {import("./document.js").Person} Person */
/** @typedef {{x: number, y: number}} Place */

const NECK = 1
/** The body joint that each hangs on; the neck hangs on none. */
const PARENTS = [1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15]
const NOSE = 0

/**
 * The person with a body joint turned towards a place, and with it all that hangs on it: lower arm and hand on the elbow,
 * the face on the nose. The neck, and what hangs on a joint that is not there, takes the whole person along.
 * @param {Person} person
 * @param {number} joint its place in the body
 * @param {Place} to
 * @returns {Person}
 */
export function turnedTo(person, joint, to) {
  const old = person.body[joint]
  const pivot = person.body[PARENTS[joint]]
  if (!old) return person
  if (!pivot) return moved(person, ({ x, y }) => ({ x: x + to.x - old.x, y: y + to.y - old.y }))
  const angle = Math.atan2(to.y - pivot.y, to.x - pivot.x) - Math.atan2(old.y - pivot.y, old.x - pivot.x)
  const turned = moved(person, (place) => around(pivot, angle, place))
  const { body, leftHand, rightHand, face } = person
  return {
    body: body.map((each, place) => (hangsOn(place, joint) ? turned.body[place] : each)),
    leftHand: hangsOn(HAND_WRISTS.leftHand, joint) ? turned.leftHand : leftHand,
    rightHand: hangsOn(HAND_WRISTS.rightHand, joint) ? turned.rightHand : rightHand,
    face: joint === NOSE ? turned.face : face,
  }
}

/** Whether a body joint is another, or is moved by it. @param {number} place @param {number} joint */
function hangsOn(place, joint) {
  let each = place
  while (each !== joint && each !== NECK) each = PARENTS[each]
  return each === joint
}

/** @param {Place} middle @param {number} angle in radians @param {Place} place @returns {Place} */
function around(middle, angle, { x, y }) {
  const [dx, dy] = [x - middle.x, y - middle.y]
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  return { x: middle.x + dx * cos - dy * sin, y: middle.y + dx * sin + dy * cos }
}
