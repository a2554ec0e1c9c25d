import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

const ENDS = ["execution_success", "execution_error", "execution_interrupted"]

/**
 * Run some nodes with all that they need and nothing else, before what waits in the queue. Unlike a run of the whole
 * workflow it draws no new seeds.
 * @param {string[]} targets as `pathOf` gives them
 * @param {string} title of what runs, for the message of an error
 * @param {(id: string) => void} begun called with the number of the run
 * @returns {Promise<boolean>} whether it ran to its end
 */
export async function runOnly(targets, title, begun = () => {}) {
  const ended = listenForEnds()
  try {
    const prompt = await app.graphToPrompt()
    const options = /** @type {any} */ ({ partialExecutionTargets: targets })
    const { prompt_id: id } = await api.queuePrompt(-1, prompt, options)
    if (id === undefined) return false
    begun(id)
    return (await ended.of(id)) === "execution_success"
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    app.extensionManager?.toast?.add({ severity: "error", summary: title, detail: message, life: 8000 })
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
export function pathOf(node, graph = /** @type {any} */ (app).rootGraph ?? app.graph) {
  if (graph.getNodeById(node.id) === node) return String(node.id)
  for (const { id, subgraph } of graph.nodes) {
    const inside = subgraph && pathOf(node, subgraph)
    if (inside) return `${id}:${inside}`
  }
  return undefined
}
