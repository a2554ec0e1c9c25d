import { api } from "../../../scripts/api.js"
import { following } from "../graph.js"

/** @typedef {Record<string, number[]>} Positions of the steps, for each counting */

const MOST_ANSWERS = 50

/** Has the settings of a sampler, and is none. */
const FORECAST = "ZeroConvPreviewSteps"

/** What a sampler node calls the settings that say where its steps are. */
const SETTINGS = ["steps", "sampler_name", "scheduler", "denoise", "start_at_step", "end_at_step"]

/**
 * The settings of the first sampler that a node leads to by its wires.
 * @param {any} node
 * @returns {Record<string, string> | null}
 */
export function samplerBehind(node) {
  for (const next of following(node)) {
    const settings = settingsOf(next)
    if (settings) return settings
  }
  return null
}

/** @param {any} node @returns {Record<string, string> | null} */
function settingsOf(node) {
  if (node.comfyClass === FORECAST) return null
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
