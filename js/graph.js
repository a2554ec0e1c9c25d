import { app } from "../../scripts/app.js"

/** What lies between the elements that the pack draws on nodes and the graph below them. */

/**
 * Let the front end know of a change at once, for its drafts, its mark of unsaved work and "Run (On Change)": by itself
 * it looks after clicks and keys only.
 */
export function noteChange() {
  const tracker = /** @type {any} */ (app.extensionManager)?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  // What older front ends call it.
  else tracker?.checkState?.()
}

/**
 * Keep clicks on an element from the node below, and the focus inside: Delete would take the node as soon as the focus
 * is outside, as after a click on a blank place or on a tool that it switches off.
 * @param {HTMLElement} frame
 * @param {() => void} focus gives the focus to what takes keys
 */
export function keepFromGraph(frame, focus) {
  frame.tabIndex = -1
  for (const name of ["pointerdown", "dblclick"]) frame.addEventListener(name, (event) => event.stopPropagation())
  frame.addEventListener("click", () => {
    const root = /** @type {ShadowRoot} */ (frame.getRootNode())
    if (!root.activeElement || root.activeElement.matches(":disabled")) focus()
  })
}

/**
 * Keep undo and redo of the graph from an element that has its own. The front end listens above all elements, and
 * spares those with text: of this type in older ones, with editable content in newer ones.
 * @param {HTMLElement} host
 */
export function ownHistory(host) {
  Object.defineProperty(host, "type", { value: "textarea" })
  Object.defineProperty(host, "isContentEditable", { value: true })
}

/**
 * The same for one key, as no text is spared with "Run (On Change)". The front end reads the key in the next frame, and
 * must not find it pressed with Ctrl then.
 * @param {KeyboardEvent} event
 */
export function hideFromHistory(event) {
  for (const key of ["ctrlKey", "metaKey"]) Object.defineProperty(event, key, { value: false })
}

const MOST_NODES = 500

/**
 * A node and those that its wires lead to, the nearest first.
 * @param {any} node
 * @returns {Generator<any>}
 */
export function* following(node) {
  const waiting = [node]
  const seen = new Set(waiting)
  while (waiting.length && seen.size < MOST_NODES) {
    const next = waiting.shift()
    yield next
    for (const link of (next.outputs ?? []).flatMap((/** @type {any} */ output) => output.links ?? [])) {
      const target = node.graph?.getNodeById(node.graph.getLink(link)?.target_id)
      if (target && !seen.has(target)) {
        seen.add(target)
        waiting.push(target)
      }
    }
  }
}
