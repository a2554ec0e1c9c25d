import assert from "node:assert/strict"
import { test } from "node:test"
import { DocumentError } from "../../../js/editor/limits.js"
import { nearestJoint, parsePoses, writePoses } from "../../../js/pose/document.js"
import { turnedTo } from "../../../js/pose/bones.js"
import { boxOf, mirrored, newPerson, withFace, withHands, withJoint } from "../../../js/pose/people.js"
import { PRESET_NAMES } from "../../../js/pose/presets.js"

const person = (preset = "standing") => withFace(withHands(newPerson(preset, 512, 512)))

test("poses that are written and read are the same poses", () => {
  const poses = { width: 512, height: 768, people: PRESET_NAMES.map((preset) => person(preset)) }
  assert.deepEqual(parsePoses(writePoses(poses)), poses)
})

test("a person has the joints of OpenPose, and stands on the canvas", () => {
  for (const preset of PRESET_NAMES) {
    const { body, leftHand, rightHand, face } = person(preset)
    assert.deepEqual([body, leftHand, rightHand, face].map(({ length }) => length), [18, 21, 21, 70])
    const { left, top, right, bottom } = boxOf(newPerson(preset, 512, 512))
    assert.ok(left > 0 && top > 0 && right < 512 && bottom < 512, preset)
  }
})

test("twice mirrored is the person again, with each joint on its own side", () => {
  for (const preset of PRESET_NAMES) {
    const before = person(preset)
    const once = mirrored(before)
    const middle = (boxOf(before).left + boxOf(before).right) / 2
    // The right wrist of the mirror image is where the left one is seen in the mirror.
    assert.ok(Math.abs(once.body[4].x - (2 * middle - before.body[7].x)) < 1e-9)
    const twice = mirrored(once)
    for (const part of ["body", "leftHand", "rightHand", "face"]) {
      before[part].forEach(({ x, y }, place) => {
        const { x: again, y: same } = twice[part][place]
        assert.ok(Math.abs(again - x) < 1e-9 && same === y, `${preset}: ${part} ${place}`)
      })
    }
  }
})

test("a hand goes with its wrist, and nothing else does", () => {
  const before = person()
  const wrist = before.body[7]
  const after = withJoint(before, "body", 7, { x: wrist.x + 30, y: wrist.y - 20 })
  before.leftHand.forEach(({ x, y }, place) => {
    const moved = after.leftHand[place]
    assert.ok(Math.hypot(moved.x - (x + 30), moved.y - (y - 20)) < 1e-9, `joint ${place}`)
  })
  assert.equal(after.rightHand, before.rightHand)
  assert.deepEqual(after.body.toSpliced(7, 1), before.body.toSpliced(7, 1))
})

test("a finger takes the nearest joint in reach", () => {
  const poses = { width: 512, height: 512, people: [newPerson("standing", 512, 512)] }
  const { x, y } = poses.people[0].body[4]
  assert.deepEqual(nearestJoint(poses, { x: x + 3, y: y - 2 }, 20), { person: 0, part: "body", place: 4 })
  assert.equal(nearestJoint(poses, { x: 5, y: 5 }, 20), null)
})

test("what is not an OpenPose frame is refused with a reason", () => {
  const frame = { canvas_width: 512, canvas_height: 512, people: [] }
  const people = [7, { pose_keypoints_2d: [1, 2] }, { pose_keypoints_2d: [1, 2, "1"] }, { pose_keypoints_2d: [1e9, 2, 1] }]
  const texts = [{ ...frame, canvas_width: 8 }, { ...frame, people: {} }, ...people.map((each) => ({ ...frame, people: [each] }))]
  for (const text of ["{", "[]", 7, ...texts.map((each) => JSON.stringify(each))]) {
    assert.throws(() => parsePoses(text), DocumentError, String(text))
  }
})

test("twelve presets, none the same as another or its mirror image", () => {
  const bodies = PRESET_NAMES.flatMap((preset) => [newPerson(preset, 512, 512), mirrored(newPerson(preset, 512, 512))])
  assert.equal(PRESET_NAMES.length, 12)
  bodies.forEach((one, place) => {
    for (const other of bodies.slice(place + 2 - (place % 2))) {
      const apart = one.body.map((joint, at) => Math.hypot(joint.x - other.body[at].x, joint.y - other.body[at].y))
      assert.ok(Math.max(...apart) > 30, "a joint lies elsewhere by some hundredths of the canvas")
    }
  })
})

test("a joint that turns keeps the length of every bone, and what does not hang on it stays", () => {
  const bones = [[1, 2], [2, 3], [3, 4], [1, 5], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 0], [0, 14], [14, 16]]
  const before = person("dancing")
  const length = (who, [one, other]) => Math.hypot(who.body[one].x - who.body[other].x, who.body[one].y - who.body[other].y)
  for (let joint = 0; joint < 18; joint++) {
    const after = turnedTo(before, joint, { x: 300.5, y: 17 })
    for (const bone of bones) assert.ok(Math.abs(length(after, bone) - length(before, bone)) < 1e-9, `${joint}: ${bone}`)
  }
  const arm = turnedTo(before, 3, { x: 0, y: 0 })
  const [shoulder, elbow] = [arm.body[2], arm.body[3]]
  const towards = Math.atan2(-shoulder.y, -shoulder.x) - Math.atan2(elbow.y - shoulder.y, elbow.x - shoulder.x)
  assert.ok(Math.abs(towards) < 1e-9, "the elbow lies in the direction of the pointer")
  const changed = before.body.flatMap((each, place) => (each.x === arm.body[place].x ? [] : place))
  assert.deepEqual(changed, [3, 4])
  assert.notDeepEqual(arm.rightHand, before.rightHand)
  assert.deepEqual([arm.leftHand, arm.face], [before.leftHand, before.face])
})
