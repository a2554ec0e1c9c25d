import { api } from "../../../scripts/api.js"

/** @typedef {Record<string, number[]>} Positions of the steps, for each counting */

const MOST_NODES = 500
const MOST_ANSWERS = 50

/** What a sampler node calls the settings that say where its steps are. */
const SETTINGS = ["steps", "sampler_name", "scheduler", "denoise", "start_at_step", "end_at_step"]

/**
 * The settings of the first sampler that a node leads to by its wires.
 * @param {any} node
 * @returns {Record<string, string> | null}
 */
export function samplerBehind(node) {
  const waiting = [node]
  const seen = new Set(waiting)
  while (waiting.length && seen.size < MOST_NODES) {
    const next = waiting.shift()
    const settings = settingsOf(next)
    if (settings) return settings
    for (const link of (next.outputs ?? []).flatMap((/** @type {any} */ output) => output.links ?? [])) {
      const target = node.graph?.getNodeById(node.graph.getLink(link)?.target_id)
      if (target && !seen.has(target)) {
        seen.add(target)
        waiting.push(target)
      }
    }
  }
  return null
}

/** @param {any} node @returns {Record<string, string> | null} */
function settingsOf(node) {
  const values = Object.fromEntries((node.widgets ?? []).map((/** @type {any} */ { name, value }) => [name, value]))
  if (!("steps" in values && "scheduler" in values)) return null
  return Object.fromEntries(SETTINGS.filter((name) => name in values).map((name) => [name, String(values[name])]))
}

/** @type {Map<string, Promise<Positions | null>>} */
const answers = new Map()

/**
 * Where the steps of a sampler begin, as the server computes it for a Stable Diffusion model.
 * @param {Record<string, string>} settings
 * @returns {Promise<Positions | null>} null when nothing would run
 */
export function stepsOf(settings) {
  const query = new URLSearchParams(settings).toString()
  let answer = answers.get(query)
  if (!answer) {
    if (answers.size >= MOST_ANSWERS) answers.clear()
    answer = api.fetchApi(`/zeroconv/steps?${query}`).then((reply) => (reply.ok ? reply.json() : null))
    answers.set(query, answer)
  }
  return answer
}
