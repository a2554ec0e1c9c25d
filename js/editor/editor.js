import { element, iconButton } from "../elements.js"
import { hideFromHistory, keepFromGraph, ownHistory } from "../graph.js"
import { Gestures } from "./gestures.js"
import { History } from "./history.js"
import { Traced } from "./traced.js"
import { View } from "./view.js"

/** Keys with Ctrl or Command with which the front end opens a window of its own, which would lie below a large view. */
const LEAVING = ["s", "o", ","]

/** @typedef {import("../strings.js").Say} Say */
/** @typedef {{width: number, height: number}} Sized */
/**
 * @template {Sized} Content
 * @typedef {object} Traits
 * @property {Content} empty what there is before anything was made
 * @property {(content: Content) => string} write the content as text of the workflow
 * @property {Say} say says the words of the editor
 * @property {string} name class of its element
 * @property {string} style address of its style sheet
 * @property {() => void} changed called after each change that the person made
 */

/**
 * What the drawing pad and the pose editor share: content of the workflow as text, with a history, in a frame of tools,
 * stage and status that is on its node or over the whole window; a picture to trace may lie under it.
 * @template {Sized} Content
 */
export class Editor {
  /** @param {Traits<Content>} traits */
  constructor(traits) {
    const { empty, say } = traits
    this.traits = traits
    this.text = ""
    /** Whether the text cannot be read: it is kept as it is until the person starts anew. */
    this.broken = false
    this.history = /** @type {History<Content>} */ (new History(empty))
    /** Runs what follows after each change; whoever makes the editor a widget gives it. @type {import("../live.js").Live | null} */
    this.live = null
    this.traced = new Traced()
    this.sheet = element("div", { class: "sheet" }, this.traced.image)
    this.stage = element(
      "div",
      { class: "stage", tabindex: 0, role: "application", "aria-label": say("surface"), "aria-describedby": "keys" },
      this.sheet,
    )
    this.status = element("div", { class: "status", role: "status" })
    this.view = new View(this.stage, this.sheet)
    const keys = element("div", { id: "keys", class: "unseen" }, say("keys"))
    const described = { class: "pad", role: "group", "aria-label": say("surface") }
    this.frame = element("div", described, this.stage, this.status, keys)
    keepFromGraph(this.frame, () => this.stage.focus({ preventScroll: true }))
    const close = iconButton("close", say("close"), () => this.toggleLarge())
    close.className = "close"
    this.dialog = element("dialog", { tabindex: -1, "aria-label": say("surface") }, close)
    this.dialog.addEventListener("close", () => this.#home())
    this.element = this.#host()
    this.gestures = new Gestures(this)
  }

  /** Whether the stage or something on it has the focus. */
  get holdsFocus() {
    return this.stage.contains(this.element.shadowRoot?.activeElement ?? null)
  }

  /** Whether nothing has been made that could be cleared. */
  get isBlank() {
    return true
  }

  /** Take the text of a workflow. @param {unknown} _text */
  load(_text) {}

  /** Change something about the content. @param {Partial<Content>} _change */
  edit(_change) {}

  /** Begin with nothing. */
  clear() {}

  /** Keep what the tools are set to; whoever makes the editor a widget says where. @param {object} _settings */
  keep(_settings) {}

  /** Set the tools to what was kept. @param {any} _settings */
  recall(_settings) {}

  /** Draw the content. */
  show() {}

  /** Show in the tools what the editor is set to. */
  refresh() {}

  /** Begin anew with what `read` gives; where it cannot be read, say so. @param {() => Content} read */
  begin(read) {
    try {
      this.history = new History(read())
      this.broken = false
      this.show()
    } catch (error) {
      this.history = new History(this.traits.empty)
      this.broken = true
      this.show()
      this.warn(this.traits.say("unreadable", { reason: error instanceof Error ? error.message : "" }))
    }
  }

  /** The person has changed something. @param {string} text the content as it is now */
  adopt(text) {
    this.text = text
    this.broken = false
    this.show()
    this.traits.changed()
  }

  undo() {
    if (this.history.undo()) this.adopt(this.traits.write(this.history.content))
  }

  redo() {
    if (this.history.redo()) this.adopt(this.traits.write(this.history.content))
  }

  /** Say what there is. @param {string} message */
  inform(message) {
    this.status.classList.remove("warning")
    this.status.textContent = message
  }

  /** Say what hinders. @param {string} message */
  warn(message) {
    this.status.classList.add("warning")
    this.status.textContent = message
  }

  /** Open the editor over the whole window, or bring it back to its node. */
  toggleLarge() {
    if (this.dialog.open) {
      this.dialog.close()
      return
    }
    this.dialog.prepend(this.frame)
    this.dialog.showModal()
    this.gestures.captureWheel()
    this.refresh()
    this.stage.focus()
  }

  #home() {
    this.element.shadowRoot?.append(this.frame)
    this.gestures.captureWheel(false)
    this.refresh()
  }

  /** @returns {HTMLElement} */
  #host() {
    const { name, style } = this.traits
    const host = element("div", { class: `${name} widget-expands` })
    ownHistory(host)
    const sheet = element("link", { rel: "stylesheet", href: style })
    const root = host.attachShadow({ mode: "open", delegatesFocus: false })
    root.append(sheet, this.frame, this.dialog)
    root.addEventListener("keydown", (event) => this.#key(/** @type {KeyboardEvent} */ (event)))
    return host
  }

  /** Undo and redo are the editor's; other keys with Ctrl are the front end's, and keys without it never. */
  /** @param {KeyboardEvent} event */
  #key(event) {
    const key = event.key.toLowerCase()
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation()
    else if (key === "z" || key === "y") this.#travel(event, key === "y" || event.shiftKey)
    else if (this.dialog.open && LEAVING.includes(key)) this.toggleLarge()
  }

  /** @param {KeyboardEvent} event @param {boolean} forward */
  #travel(event, forward) {
    event.stopPropagation()
    hideFromHistory(event)
    // A field that is being typed in has an undo as well.
    if (event.target instanceof HTMLInputElement && event.target.type === "number") return
    event.preventDefault()
    if (forward) this.redo()
    else this.undo()
  }
}
