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
  swap: "M6 8h12M15 5l3 3-3 3M18 16H6M9 13l-3 3 3 3",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  large: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
  person: "M12 7.5a2.5 2.5 0 1 1 0-5 2.5 2.5 0 0 1 0 5zM12 8v7M5 11h14M12 15l-4.5 6.5M12 15l4.5 6.5",
  bone: "M14.5 6a2.4 2.4 0 1 1 4 1.5 2.4 2.4 0 1 1-1.5 4l-6.5 6.5a2.4 2.4 0 1 1-4-1.5 2.4 2.4 0 1 1 1.5-4z",
  hand: "M7 12V6.5a1.5 1.5 0 0 1 3 0V11V4.5a1.5 1.5 0 0 1 3 0V11V6a1.5 1.5 0 0 1 3 0v6V9a1.5 1.5 0 0 1 3 0v6c0 4-2.5 6-6 6-3 0-4.5-1.5-6-4l-3-4.5a1.5 1.5 0 0 1 2.5-1.5z",
  face: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 9.5v.01M15 9.5v.01M8 14.5c2 2.700 6 2.700 8 0",
  hide: "M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM4 20L20 4",
  wired: "M4 12h9M9.5 8.5L13 12l-3.5 3.5M16 5h4v14h-4",
  close: "M6 6l12 12M18 6L6 18",
  add: "M12 5v14M5 12h14",
  play: "M7 4.5l12 7.5-12 7.5z",
  live: "M13 3L5 14h6l-1 7 8-11h-6z",
  compare: "M4 5h16v14H4zM12 3v18M8.5 10L6.5 12l2 2M15.5 10l2 2-2 2",
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
 * The same for a drawing in the page.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value))
  made.append(...children)
  return made
}

/** @param {Icon} name */
export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }))

/**
 * A button that shows an icon and says its name.
 * @param {Icon} picture
 * @param {string} label
 * @param {() => void} act called when it is pressed
 * @returns {HTMLButtonElement}
 */
export function iconButton(picture, label, act) {
  const button = element("button", { type: "button", "aria-label": label, title: label })
  button.append(icon(picture))
  button.addEventListener("click", act)
  return button
}

/** Show a button as switched on or off. @param {HTMLElement} button @param {boolean} pressed */
export const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed))

/** Give a button another name. @param {HTMLElement} button @param {string} label */
export function name(button, label) {
  button.setAttribute("aria-label", label)
  button.title = label
}

/**
 * Buttons and fields that belong together.
 * @param {string} label
 * @param {HTMLElement[]} parts
 * @returns {HTMLElement}
 */
export const group = (label, ...parts) => element("div", { class: "group", role: "group", "aria-label": label }, ...parts)
