import { EditorToolbar } from "../editor/toolbar.js"
import { element, group, icon, iconButton, name, press, svg } from "../elements.js"
import { newPerson } from "./people.js"
import { nameOf, say, skeletonsOf } from "./picture.js"
import { PRESET_NAMES } from "./presets.js"

/** @typedef {import("./editor.js").PoseEditor} PoseEditor */

/** The tools of a pose editor. @extends {EditorToolbar<PoseEditor>} */
export class PoseToolbar extends EditorToolbar {
  /** @param {PoseEditor} editor */
  constructor(editor) {
    super(editor)
    this.add = this.#presetPicker()
    this.mirror = iconButton("mirror", say("mirror"), () => editor.mirrorPerson())
    this.bones = iconButton("bone", say("bones"), () => editor.toggleBones())
    this.remove = iconButton("close", say("remove"), () => editor.deletePerson())
    this.hands = iconButton("hand", say("hands"), () => editor.toggleHands())
    this.face = iconButton("face", say("face_part"), () => editor.toggleFace())
    this.hide = iconButton("hide", say("hide"), () => editor.toggleJoint())
    this.wired = iconButton("wired", say("wired"), () => editor.takeWired())
    this.element.append(
      group(say("add"), this.add),
      group(say("person_tools"), this.mirror, this.hands, this.face, this.hide, this.remove, this.bones),
      group(say("edit"), this.undo, this.redo, this.clear, this.wired),
      group(say("canvas"), ...this.canvasSize),
      group(say("show"), editor.traced.button, editor.traced.opacity, this.live, this.fit, this.large),
    )
  }

  /** Show what the editor is set to. */
  refresh() {
    super.refresh()
    const { person, joint, text } = this.editor
    const inUse = this.editor.jointInUse()
    for (const button of [this.mirror, this.remove, this.hands, this.face]) button.disabled = !person
    press(this.bones, this.editor.keepsBones)
    press(this.hands, Boolean(person?.leftHand.length || person?.rightHand.length))
    press(this.face, Boolean(person?.face.length))
    press(this.hide, inUse?.score === 0)
    this.hide.disabled = !inUse
    name(this.hide, inUse && joint ? say("hide_joint", { name: nameOf(joint.part, joint.place) }) : say("hide"))
    this.wired.disabled = !text
  }

  /** A button that opens the presets as pictures; one press adds a person. */
  #presetPicker() {
    const choices = PRESET_NAMES.map((preset) => {
      const described = { type: "button", "data-preset": preset, "aria-label": say(preset) }
      const button = element("button", described, thumbnail(preset), say(preset))
      button.addEventListener("click", () => {
        picker.open = false
        this.editor.addPerson(preset)
      })
      return button
    })
    const summary = element("summary", {}, icon("person"), say("add"))
    const picker = element("details", { class: "presets" }, summary, element("div", { class: "choices" }, ...choices))
    picker.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !picker.open) return
      event.preventDefault()
      picker.open = false
      summary.focus()
    })
    // Presets lie over the drawing: a press beside them means that.
    picker.addEventListener("focusout", ({ relatedTarget }) => {
      if (!picker.contains(/** @type {Node | null} */ (relatedTarget))) picker.open = false
    })
    return picker
  }
}

/** A preset as small as a button. @param {import("./presets.js").Preset} preset */
function thumbnail(preset) {
  const [width, height] = [96, 112]
  const people = [newPerson(preset, width, height)]
  const small = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" })
  small.append(...skeletonsOf(people))
  return small
}
