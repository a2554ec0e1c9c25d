import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { element } from "../elements.js"
import { sayer } from "../strings.js"

const ROUTE = "/zeroconv/weights"
/** Milliseconds between two looks at how far a fetch is. */
const LOOK = 500
/** Milliseconds that a message stays. */
const LIFE = 20_000

const say = sayer("hint")

/**
 * @typedef {object} State of the weights of a method
 * @property {{file: string, size: string, license: string}[]} missing
 * @property {number} megabytes that are missing
 * @property {boolean} non_commercial whether a license forbids commercial use
 * @property {string} package that runs them and is not installed
 * @property {boolean} running whether they are being fetched
 * @property {number} done bytes
 * @property {number} total bytes
 * @property {string} error why the last fetch ended early
 */

/** The button that fetches the weights that a method lacks, with their license beside it. */
export class WeightsButton {
  /**
   * @param {() => string} method the node's id, or the method that is chosen on it
   * @param {(lacks: boolean) => void} changed called with whether weights are missing
   */
  constructor(method, changed) {
    this.method = method
    this.changed = changed
    /** @type {State | null} */
    this.state = null
    this.button = element("button", { type: "button", class: "fetch" })
    this.license = element("span", { class: "license" })
    this.element = element("div", { class: "weights", hidden: "" }, this.button, this.license)
    this.button.addEventListener("click", () => this.#press())
    // A person may have put the files there meanwhile.
    this.element.addEventListener("pointerenter", () => !this.state?.running && this.look())
  }

  /** Ask the server what is missing, and again while it fetches. @param {"" | "fetch" | "cancel"} action */
  async look(action = "") {
    const query = new URLSearchParams({ method: this.method(), ...(action && { action }) })
    const answer = await api.fetchApi(`${ROUTE}?${query}`, { method: action ? "POST" : "GET" })
    /** @type {State} */
    const state = await answer.json()
    if (!answer.ok) return this.#tell(state.error)
    const before = this.state
    this.state = state
    this.#show(state)
    if (state.running) setTimeout(() => this.look(), LOOK)
    else if (before?.running || action === "fetch") this.#ended(state)
  }

  #press() {
    if (this.state?.missing.length) this.look(this.state.running ? "cancel" : "fetch")
  }

  /** @param {State} state */
  #show(state) {
    const lacks = state.missing.length > 0
    this.element.hidden = !lacks
    this.changed(lacks)
    const size = Math.max(1, Math.round(state.megabytes))
    const percent = state.total ? Math.floor((100 * state.done) / state.total) : 0
    this.button.textContent = state.running ? say("fetching", { percent }) : say("fetch", { size })
    const licenses = [...new Set(state.missing.map(({ license }) => license))].join("; ")
    this.license.textContent = state.non_commercial ? `${say("non_commercial")} ${licenses}` : licenses
    const files = state.missing.map(({ file, size, license }) => `${file}, ${size}, ${license}`)
    this.element.title = [...files, state.package && say("package", { name: state.package })].filter(Boolean).join("\n")
  }

  /** @param {State} state */
  #ended(state) {
    if (state.error) this.#tell(state.error)
    else if (!state.missing.length && state.package) this.#tell(say("package", { name: state.package }))
  }

  /** @param {string} text */
  #tell(text) {
    app.extensionManager?.toast?.add({ severity: "warn", summary: say("fetch_summary"), detail: text, life: LIFE })
  }
}
