/** Small makers of elements. Text always goes in as text. */

const SVG = "http://www.w3.org/2000/svg"

/** Lines of the icons on a grid of 24 x 24. */
const ICONS = {
  pen: "M4 20l1.2-4.8L16 4.4l3.6 3.6L8.8 18.8zM13.5 7l3.5 3.5",
  eraser: "M10 20h10M4.5 14.5L14 5l6 6-9 9H9.5z",
  fill: "M11 3l8 8-7.5 7.5a1.5 1.5 0 0 1-2 0L4 13a1.5 1.5 0 0 1 0-2zM4 12h14M20.5 15.5c1 1.4 1.5 2.3 1.5 3a1.5 1.5 0 0 1-3 0c0-.7.5-1.6 1.5-3z",
  undo: "M4 9h10a5.5 5.5 0 0 1 0 11h-4M8 5L4 9l4 4",
  redo: "M20 9H10a5.5 5.5 0 0 0 0 11h4M16 5l4 4-4 4",
  clear: "M4.5 7h15M9.5 7V4h5v3M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5",
  mirror: "M12 3v18M9 7.5L3 17h6zM15 7.5l6 9.5h-6z",
  image: "M4 5h16v14H4zM4 16l5-5 4.5 4.5L16 13l4 4M8.5 8.5v.01",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  large: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
  close: "M6 6l12 12M18 6L6 18",
}

/** @typedef {keyof typeof ICONS} Icon */

/**
 * An element with attributes and children; a child that is a string becomes a text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}

/**
 * A button that shows an icon and says its name.
 * @param {Icon} icon
 * @param {string} label
 * @param {() => void} press
 * @returns {HTMLButtonElement}
 */
export function iconButton(icon, label, press) {
  const button = element("button", { type: "button", "aria-label": label, title: label })
  const drawing = document.createElementNS(SVG, "svg")
  drawing.setAttribute("viewBox", "0 0 24 24")
  drawing.setAttribute("aria-hidden", "true")
  const line = document.createElementNS(SVG, "path")
  line.setAttribute("d", ICONS[icon])
  drawing.append(line)
  button.append(drawing)
  button.addEventListener("click", press)
  return button
}

/**
 * Buttons and fields that belong together.
 * @param {string} label
 * @param {HTMLElement[]} parts
 * @returns {HTMLElement}
 */
export const group = (label, ...parts) => element("div", { class: "group", role: "group", "aria-label": label }, ...parts)
