import assert from "node:assert/strict"
import { test } from "node:test"
import { History } from "../../../js/editor/history.js"

test("undo and redo lead through the states in order", () => {
  const history = new History(0)
  for (const state of [1, 2, 3]) history.add(state)
  const back = []
  while (history.undo()) back.push(history.content)
  assert.deepEqual(back, [2, 1, 0])
  const forth = []
  while (history.redo()) forth.push(history.content)
  assert.deepEqual(forth, [1, 2, 3])
})

test("a new state after an undo ends what redo would lead to", () => {
  const history = new History("")
  history.add("one")
  history.undo()
  history.add("two")
  assert.equal(history.redo(), false)
  assert.equal(history.content, "two")
})

test("a blank state is a state like others", () => {
  const history = new History("")
  history.add("one")
  history.add("")
  history.add("two")
  assert.equal(history.undo(), true)
  assert.equal(history.undo(), true)
  assert.equal(history.content, "one")
})

test("two hundred steps are kept", () => {
  const history = new History(0)
  for (let state = 1; state <= 500; state++) history.add(state)
  let steps = 0
  while (history.undo()) steps++
  assert.equal(steps, 200)
  assert.equal(history.content, 300)
})
