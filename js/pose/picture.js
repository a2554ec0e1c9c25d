/** The people as a picture of the page: what preprocessors/pose/drawing/ draws, with joints that take the focus. */

import { svg } from "../elements.js"
import { sayer } from "../strings.js"
import { PARTS } from "./document.js"
import { boxOf } from "./people.js"

/** @typedef {import("./document.js").Joint} Joint */
/** @typedef {import("./document.js").Part} Part */
/** @typedef {import("./document.js").Person} Person */
/** @typedef {import("./document.js").Poses} Poses */

const LIMBS = [
  [1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 11], [11, 12], [12, 13], [1, 0], [0, 14],
  [14, 16], [0, 15], [15, 17],
]
const BONES = [1, 5, 9, 13, 17].flatMap((first) => [0, 1, 2, 3].map((at) => [at ? first + at - 1 : 0, first + at]))
const COLORS = [
  [255, 0, 0], [255, 85, 0], [255, 170, 0], [255, 255, 0], [170, 255, 0], [85, 255, 0], [0, 255, 0], [0, 255, 85],
  [0, 255, 170], [0, 255, 255], [0, 170, 255], [0, 85, 255], [0, 0, 255], [85, 0, 255], [170, 0, 255], [255, 0, 255],
  [255, 0, 170], [255, 0, 85],
]
const LIMB_SHADE = 0.6
/** Radius of a joint's circle; the width of a finger's bone is half of it. */
const RADIUS = { body: 4, leftHand: 4, rightHand: 4, face: 3 }
/** Radius around a joint in which a pointer takes it: the joints of hands and faces lie close to each other. */
const REACH = { body: 9, leftHand: 4, rightHand: 4, face: 3 }

export const say = sayer("pose", "editor")

/**
 * All people.
 * @param {Poses} poses
 * @param {number} selected
 * @returns {SVGElement[]}
 */
export function picturesOf({ people }, selected) {
  const pictures = people.map((person, index) => pictureOf(person, index, index === selected))
  return people.length > 1 && people[selected] ? [frameOf(people[selected]), ...pictures] : pictures
}

/** The limbs of people alone, as lines that stay as wide at any size. @param {readonly Person[]} people @returns {SVGElement[]} */
export function skeletonsOf(people) {
  return people.flatMap(({ body }) =>
    LIMBS.flatMap(([start, end], place) => {
      const [one, other] = [body[start], body[end]]
      if (!one || !other) return []
      const ends = { x1: one.x, y1: one.y, x2: other.x, y2: other.y }
      return svg("line", { class: "line", ...ends, stroke: rgb(COLORS[place]) })
    }),
  )
}

/** What tells the selected person from the others. @param {Person} person */
function frameOf(person) {
  const { left, top, right, bottom } = boxOf(person)
  const size = { width: right - left + 24, height: bottom - top + 24 }
  return svg("rect", { class: "frame", x: left - 12, y: top - 12, rx: 6, ...size })
}

/** @param {Person} person @param {number} index @param {boolean} selected */
function pictureOf(person, index, selected) {
  const group = svg("g", { class: selected ? "person selected" : "person", "data-person": index })
  group.setAttribute("role", "group")
  group.setAttribute("aria-label", say("person", { number: index + 1 }))
  LIMBS.forEach(([start, end], place) => limb(group, person.body[start], person.body[end], COLORS[place]))
  for (const part of PARTS) {
    if (part === "leftHand" || part === "rightHand") bones(group, person[part])
    person[part].forEach((joint, place) => {
      if (joint) group.append(jointOf(joint, part, place, index, selected))
    })
  }
  return group
}

/** @param {SVGElement} group @param {Joint | null | undefined} one @param {Joint | null | undefined} other @param {number[]} color */
function limb(group, one, other, color) {
  if (!one?.score || !other?.score) return
  const length = Math.hypot(one.x - other.x, one.y - other.y)
  const turn = (Math.atan2(one.y - other.y, one.x - other.x) * 180) / Math.PI
  const place = `translate(${(one.x + other.x) / 2} ${(one.y + other.y) / 2}) rotate(${turn})`
  const fill = rgb(color.map((channel) => Math.trunc(channel * LIMB_SHADE)))
  group.append(svg("ellipse", { class: "limb", rx: length / 2, ry: RADIUS.body, transform: place, fill }))
}

/** @param {SVGElement} group @param {readonly (Joint | null)[]} hand */
function bones(group, hand) {
  BONES.forEach(([start, end], place) => {
    const [one, other] = [hand[start], hand[end]]
    if (!one?.score || !other?.score) return
    const stroke = `hsl(${(360 * place) / BONES.length} 100% 50%)`
    group.append(svg("line", { class: "bone", x1: one.x, y1: one.y, x2: other.x, y2: other.y, stroke }))
  })
}

/**
 * @param {Joint} joint
 * @param {Part} part
 * @param {number} place
 * @param {number} index
 * @param {boolean} selected
 */
function jointOf({ x, y, score }, part, place, index, selected) {
  const label = say(score ? "joint" : "hidden_joint", { number: index + 1, name: nameOf(part, place) })
  const made = svg("g", { class: score ? "joint" : "joint hidden", "data-person": index, "data-part": part })
  made.dataset.place = String(place)
  made.setAttribute("transform", `translate(${x} ${y})`)
  // The joints of a hand or face are many: those of other people are not on the way of the Tab key.
  made.setAttribute("tabindex", part === "body" || selected ? "0" : "-1")
  made.setAttribute("role", "button")
  made.setAttribute("aria-label", label)
  const fill = rgb(part === "body" ? COLORS[place] : part === "face" ? [255, 255, 255] : [0, 0, 255])
  const title = svg("title", {}, label)
  made.append(title, svg("circle", { class: "reach", r: REACH[part] }), svg("circle", { class: "dot", r: RADIUS[part], fill }))
  return made
}

/** @param {Part} part @param {number} place */
export const nameOf = (part, place) => (part === "body" ? say(`body_${place}`) : say(part, { number: place + 1 }))

/** @param {number[]} color */
const rgb = (color) => `rgb(${color.join(" ")})`
