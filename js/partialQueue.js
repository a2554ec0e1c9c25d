import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { loadStrings, sayer } from "./strings.js"

/** What newer front ends show by themselves when a node is not wired or set. */
const OVERLAY = "[data-testid=error-overlay]"
const MOST_LINES = 6
/** Milliseconds. */
const LIFE = 15_000

const say = sayer("queue")

/** @typedef {{class_type: string, dependent_outputs: string[], errors: {message: string, details: string}[]}} NodeErrors */

/**
 * The server's numbers of all nodes in use that show or save a result.
 * @param {any} graph
 * @param {string} path of the subgraph's node
 * @returns {string[]}
 */
function outputNodes(graph, path = "") {
  return graph.nodes.flatMap((/** @type {any} */ node) => {
    if (node.mode !== 0) return []
    if (node.subgraph) return outputNodes(node.subgraph, `${path}${node.id}:`)
    return node.constructor.nodeData?.output_node ? [`${path}${node.id}`] : []
  })
}

/**
 * The server's reasons, a line for each node.
 * @param {Record<string, NodeErrors>} refused
 */
function reasons(refused) {
  const lines = Object.entries(refused).map(([id, { class_type, errors }]) => {
    const title = app.graph.getNodeById(Number(id))?.title ?? class_type
    return `${title}: ${errors.map(({ message, details }) => [message, details].filter(Boolean).join(": ")).join("; ")}`
  })
  return lines.length > MOST_LINES ? [...lines.slice(0, MOST_LINES), "…"] : lines
}

/** Tell when the server took only a part of the graph: the rest would be missing without a word. */
function tellPartOnly() {
  const refused = /** @type {Record<string, NodeErrors>} */ (/** @type {any} */ (app).lastNodeErrors ?? {})
  const left = new Set(Object.values(refused).flatMap((each) => each.dependent_outputs ?? []))
  const all = outputNodes(/** @type {any} */ (app).rootGraph ?? app.graph)
  // Without a part that runs the front end opens a dialog.
  if (!left.size || all.every((id) => left.has(id)) || document.querySelector(OVERLAY)) return
  const summary = say("part_only", { left: left.size, all: all.length })
  app.extensionManager?.toast?.add({ severity: "warn", summary, detail: reasons(refused).join("\n"), life: LIFE })
}

app.registerExtension({
  name: "ZeroConv.PartialQueue",
  init: loadStrings,
  setup() {
    // What the front end shows by itself is there after the next frames.
    api.addEventListener("promptQueued", () => setTimeout(tellPartOnly, 200))
  },
})
