import { element, iconButton, name, press } from "../elements.js"
import { sayer } from "../strings.js"

const say = sayer("editor")

/** The picture under what is drawn, to trace over: seen, never part of the result. With its tools. */
export class Traced {
  constructor() {
    this.image = element("img", { class: "traced", alt: "", draggable: "false" })
    this.button = iconButton("image", say("trace"), () => (this.shown ? this.hide() : this.#choose()))
    this.opacity = element("input", { type: "range", min: 0, max: 100, value: 50, title: say("opacity") })
    this.opacity.setAttribute("aria-label", say("opacity"))
    this.opacity.addEventListener("input", () => this.#refresh())
    this.image.hidden = true
    this.#refresh()
  }

  get shown() {
    return !this.image.hidden
  }

  /** @param {string} address */
  show(address) {
    this.#release()
    this.image.src = address
    this.image.hidden = false
    this.#refresh()
  }

  hide() {
    this.#release()
    this.image.removeAttribute("src")
    this.image.hidden = true
    this.#refresh()
  }

  /** A file of the person's own; it stays in this window. */
  #choose() {
    const chooser = element("input", { type: "file", accept: "image/*" })
    chooser.addEventListener("change", () => {
      if (chooser.files?.length) this.show(URL.createObjectURL(chooser.files[0]))
    })
    chooser.click()
  }

  #refresh() {
    this.image.style.opacity = String(Number(this.opacity.value) / 100)
    this.opacity.hidden = !this.shown
    press(this.button, this.shown)
    name(this.button, say(this.shown ? "untrace" : "trace"))
  }

  #release() {
    if (this.image.src.startsWith("blob:")) URL.revokeObjectURL(this.image.src)
  }
}
