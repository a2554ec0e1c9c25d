import { element } from "./elements.js"

/** The picture under the strokes, to trace over: seen, never part of the drawing. */
export class Traced {
  constructor() {
    this.image = element("img", { class: "traced", alt: "", draggable: "false" })
    this.opacity = 0.5
    this.image.hidden = true
    this.image.style.opacity = String(this.opacity)
  }

  get shown() {
    return !this.image.hidden
  }

  /** @param {string} address */
  show(address) {
    this.#release()
    this.image.src = address
    this.image.hidden = false
  }

  /** A file of the person's own; it stays in this window. @param {File} file */
  showFile(file) {
    this.show(URL.createObjectURL(file))
  }

  hide() {
    this.#release()
    this.image.removeAttribute("src")
    this.image.hidden = true
  }

  /** @param {number} opacity 0..1 */
  setOpacity(opacity) {
    this.opacity = opacity
    this.image.style.opacity = String(opacity)
  }

  #release() {
    if (this.image.src.startsWith("blob:")) URL.revokeObjectURL(this.image.src)
  }
}
