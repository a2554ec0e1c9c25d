import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"

const ENDS = ["execution_success", "execution_error", "execution_interrupted"]

/**
 * Run one node with all that it needs and nothing else, before what waits in the queue. Unlike a run of the whole
 * workflow it draws no new seeds.
 * @param {any} node
 * @returns {Promise<boolean>} whether it ran to its end
 */
export async function runAlone(node) {
  const target = pathOf(node, /** @type {any} */ (app).rootGraph ?? app.graph)
  if (!target) return false
  const ended = listenForEnds()
  try {
    const prompt = await app.graphToPrompt()
    const options = /** @type {any} */ ({ partialExecutionTargets: [target] })
    const { prompt_id: id } = await api.queuePrompt(-1, prompt, options)
    return id !== undefined && (await ended.of(id)) === "execution_success"
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    app.extensionManager?.toast?.add({ severity: "error", summary: node.title, detail: message, life: 8000 })
    return false
  } finally {
    ended.stop()
  }
}

/** How runs end, also one that ends before its number is known. */
function listenForEnds() {
  /** @type {Map<string, string>} */
  const seen = new Map()
  /** @type {(() => void) | undefined} */
  let look
  const stop = new AbortController()
  for (const kind of ENDS) {
    const heard = (/** @type {any} */ event) => {
      seen.set(event.detail?.prompt_id, kind)
      look?.()
    }
    api.addEventListener(/** @type {any} */ (kind), heard, { signal: stop.signal })
  }
  return {
    stop: () => stop.abort(),
    /** @param {string} id @returns {Promise<string | undefined>} */
    of: (id) =>
      new Promise((done) => {
        look = () => seen.has(id) && done(seen.get(id))
        look()
      }),
  }
}

/**
 * How the server calls a node: its number, after those of the subgraphs that it lies in.
 * @param {any} node
 * @param {any} graph
 * @returns {string | undefined}
 */
function pathOf(node, graph) {
  if (graph.getNodeById(node.id) === node) return String(node.id)
  for (const { id, subgraph } of graph.nodes) {
    const inside = subgraph && pathOf(node, subgraph)
    if (inside) return `${id}:${inside}`
  }
  return undefined
}
