import assert from "node:assert/strict"
import { test } from "node:test"
import { Axes } from "../../../js/curve/axes.js"
import { factorAt, formatSchedule, INTERPOLATIONS, parseSchedule } from "../../../js/curve/schedule.js"
import { chance } from "../chance.js"

/** A schedule by chance, in the order of its counting. */
function keyframes(seed, counting) {
  const random = chance(seed)
  const far = counting === "sigma" ? 14 : 1
  const places = Array.from({ length: 5 }, () => Math.round(random(0, far) * 1000) / 1000)
  places.sort((one, other) => (counting === "sigma" ? other - one : one - other))
  return places.map((position) => ({
    position,
    strength: Math.round(random(-2, 3) * 1000) / 1000,
    interpolation: INTERPOLATIONS[Math.floor(random(0, INTERPOLATIONS.length))],
  }))
}

test("a schedule that is written and read is the same schedule", () => {
  for (let seed = 0; seed < 100; seed++) {
    for (const counting of ["timesteps", "steps", "sigma"]) {
      const made = keyframes(seed, counting)
      assert.deepEqual(parseSchedule(formatSchedule(made), counting), made)
      assert.deepEqual(parseSchedule(formatSchedule(made, "0: 1\n1: 0"), counting), made)
    }
  }
})

test("strengths go from keyframe to keyframe as their interpolation says", () => {
  const at = (word, position) => factorAt(parseSchedule(`0.2: 1 ${word}, 0.6: 3`, "timesteps"), position, "timesteps")
  for (const word of INTERPOLATIONS) {
    assert.deepEqual([at(word, 0), at(word, 0.2), at(word, 0.6), at(word, 1)], [1, 1, 3, 3], word)
  }
  const half = { linear: 2, hold: 1, ease: 2, "ease in": 1.5, "ease out": 2.5 }
  for (const [word, expected] of Object.entries(half)) assert.ok(Math.abs(at(word, 0.4) - expected) < 1e-12, word)
})

test("a mistake is named with what follows it", () => {
  for (const [text, rest] of [["0: 1, 0.5 0.6", "0.6"], ["0: 1 quick, 1: 0", "quick, 1: 0"], ["0: 1, 1.5: 0", "1.5: 0"]]) {
    assert.throws(() => parseSchedule(text, "timesteps"), { message: rest })
  }
})

test("a place on the picture leads back to the position and the strength", () => {
  for (let seed = 0; seed < 30; seed++) {
    for (const counting of ["timesteps", "sigma"]) {
      const made = keyframes(seed, counting)
      const axes = new Axes(made, counting)
      for (const { position, strength } of made) {
        assert.ok(Math.abs(axes.position(axes.across(position)) - position) < 1e-9)
        assert.ok(Math.abs(axes.strength(axes.up(strength)) - strength) < 1e-9)
        assert.ok(axes.across(position) >= 0 && axes.across(position) <= 1)
      }
    }
  }
})
