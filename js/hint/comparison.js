import { element, iconButton } from "../elements.js"
import { sayer } from "../strings.js"

const say = sayer("hint")

/**
 * Show one picture over another in a window of its own; a slider says how far it covers it.
 * @param {string} before address of the picture below
 * @param {string} after address of the picture above
 */
export function openComparison(before, after) {
  const slider = element("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": say("slider") })
  const dialog = element("dialog", { "aria-label": say("compare_tip") })
  const shown = element(
    "div",
    { class: "comparison" },
    element("img", { class: "before", src: before, alt: say("before"), draggable: "false" }),
    element("img", { class: "after", src: after, alt: say("after"), draggable: "false" }),
    element("span", { class: "name left" }, say("after")),
    element("span", { class: "name right" }, say("before")),
    element("div", { class: "edge" }),
    slider,
  )
  slider.addEventListener("input", () => shown.style.setProperty("--at", `${slider.value}%`))
  dialog.append(shown, iconButton("close", say("close"), () => dialog.close()))
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close())
  dialog.addEventListener("keydown", (event) => event.stopPropagation())

  const host = element("div", { class: "zeroconv-comparison" })
  const style = element("link", { rel: "stylesheet", href: new URL("./hint.css", import.meta.url).href })
  host.attachShadow({ mode: "open" }).append(style, dialog)
  dialog.addEventListener("close", () => host.remove())
  document.body.append(host)
  dialog.showModal()
  slider.focus()
}
