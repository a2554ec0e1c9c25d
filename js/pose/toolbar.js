import { EditorToolbar } from "../editor/toolbar.js"
import { element, group, iconButton, name, press } from "../elements.js"
import { PRESET_NAMES } from "./people.js"
import { nameOf, say } from "./picture.js"

/** @typedef {import("./editor.js").PoseEditor} PoseEditor */

/** The tools of a pose editor. @extends {EditorToolbar<PoseEditor>} */
export class PoseToolbar extends EditorToolbar {
  /** @param {PoseEditor} editor */
  constructor(editor) {
    super(editor)
    this.add = this.#presetPicker()
    this.mirror = iconButton("mirror", say("mirror"), () => editor.mirrorPerson())
    this.remove = iconButton("close", say("remove"), () => editor.deletePerson())
    this.hands = iconButton("hand", say("hands"), () => editor.toggleHands())
    this.face = iconButton("face", say("face_part"), () => editor.toggleFace())
    this.hide = iconButton("hide", say("hide"), () => editor.toggleJoint())
    this.wired = iconButton("wired", say("wired"), () => editor.takeWired())
    this.element.append(
      group(say("add"), this.add),
      group(say("person_tools"), this.mirror, this.hands, this.face, this.hide, this.remove),
      group(say("edit"), this.undo, this.redo, this.clear, this.wired),
      group(say("canvas"), ...this.canvasSize),
      group(say("show"), editor.traced.button, editor.traced.opacity, this.fit, this.large),
    )
  }

  /** Show what the editor is set to. */
  refresh() {
    super.refresh()
    const { person, joint, text } = this.editor
    const inUse = this.editor.jointInUse()
    for (const button of [this.mirror, this.remove, this.hands, this.face]) button.disabled = !person
    press(this.hands, Boolean(person?.leftHand.length || person?.rightHand.length))
    press(this.face, Boolean(person?.face.length))
    press(this.hide, inUse?.score === 0)
    this.hide.disabled = !inUse
    name(this.hide, inUse && joint ? say("hide_joint", { name: nameOf(joint.part, joint.place) }) : say("hide"))
    this.wired.disabled = !text
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
}
