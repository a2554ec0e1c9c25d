import { LARGEST, SMALLEST } from "./drawing.js"
import { element, group, iconButton } from "./elements.js"
import { PRESET_NAMES } from "./posePeople.js"
import { nameOf, say } from "./posePicture.js"

/** @typedef {import("./poseEditor.js").PoseEditor} PoseEditor */

/** The tools of a pose editor. */
export class PoseToolbar {
  /** @param {PoseEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.add = this.#presetPicker()
    this.mirror = iconButton("mirror", say("mirror"), () => editor.mirrorPerson())
    this.remove = iconButton("close", say("remove"), () => editor.deletePerson())
    this.hands = iconButton("hand", say("hands"), () => editor.toggleHands())
    this.face = iconButton("face", say("face_part"), () => editor.toggleFace())
    this.hide = iconButton("hide", say("hide"), () => editor.toggleJoint())
    this.undo = iconButton("undo", say("undo"), () => editor.undo())
    this.redo = iconButton("redo", say("redo"), () => editor.redo())
    this.clear = iconButton("clear", say("clear"), () => editor.clear())
    this.wired = iconButton("wired", say("wired"), () => editor.takeWired())
    this.width = this.#edge("width")
    this.height = this.#edge("height")
    this.fit = iconButton("fit", say("fit"), () => editor.view.fit())
    this.large = iconButton("large", say("large"), () => editor.toggleLarge())
    this.element = element(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": say("tools") },
      group(say("add"), this.add),
      group(say("person_tools"), this.mirror, this.hands, this.face, this.hide, this.remove),
      group(say("edit"), this.undo, this.redo, this.clear, this.wired),
      group(say("canvas"), this.width, element("span", { class: "times" }, "×"), this.height),
      group(say("show"), this.fit, this.large),
    )
  }

  /** Show what the editor is set to. */
  refresh() {
    const { person, poses, history, dialog, joint, text, broken } = this.editor
    const inUse = this.editor.jointInUse()
    for (const button of [this.mirror, this.remove, this.hands, this.face]) button.disabled = !person
    press(this.hands, Boolean(person?.leftHand.length || person?.rightHand.length))
    press(this.face, Boolean(person?.face.length))
    press(this.hide, inUse?.score === 0)
    this.hide.disabled = !inUse
    name(this.hide, inUse && joint ? say("hide_joint", { name: nameOf(joint.part, joint.place) }) : say("hide"))
    this.undo.disabled = !history.past.length
    this.redo.disabled = !history.future.length
    this.clear.disabled = !poses.people.length && !broken
    this.wired.disabled = !text
    this.width.value = String(poses.width)
    this.height.value = String(poses.height)
    press(this.large, dialog.open)
    name(this.large, say(dialog.open ? "small" : "large"))
  }

  #presetPicker() {
    const first = element("option", { value: "" }, say("add"))
    const picker = element("select", { class: "preset", "aria-label": say("add"), title: say("add") }, first)
    for (const preset of PRESET_NAMES) picker.append(element("option", { value: preset }, say(preset)))
    picker.addEventListener("change", () => {
      const preset = PRESET_NAMES.find((each) => each === picker.value)
      picker.value = ""
      if (preset) this.editor.addPerson(preset)
    })
    return picker
  }

  /** @param {"width" | "height"} side */
  #edge(side) {
    const field = element("input", { type: "number", min: SMALLEST, max: LARGEST, step: 8, title: say(side) })
    field.setAttribute("aria-label", say(side))
    field.addEventListener("change", () => {
      const edge = Math.round(Number(field.value)) || this.editor.poses[side]
      this.editor.edit({ [side]: Math.min(LARGEST, Math.max(SMALLEST, edge)) })
    })
    return field
  }
}

/** @param {HTMLElement} button @param {boolean} pressed */
const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed))

/** @param {HTMLElement} button @param {string} label */
function name(button, label) {
  button.setAttribute("aria-label", label)
  button.title = label
}
