import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

/** @type {Record<string, Record<string, string>>} */
const texts = {}

/** @type {Promise<void> | undefined} */
let fetched

/** Fetch the words of the pack in the person's language, from locales/, over those in English; once. */
export function loadStrings() {
  fetched ??= fetchStrings()
  return fetched
}

async function fetchStrings() {
  const answer = await api.fetchApi("/i18n")
  const languages = answer.ok ? await answer.json() : {}
  const language = String(app.extensionManager?.setting.get("Comfy.Locale") ?? "en")
  for (const spoken of ["en", language]) {
    for (const [topic, words] of Object.entries(languages[spoken]?.zeroconv ?? {})) {
      texts[topic] = { ...texts[topic], ...words }
    }
  }
}

/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

/**
 * What says the words of the first topic that has a key: its text with {names} replaced by values; the key itself where
 * a language lacks it.
 * @param {string[]} topics
 * @returns {Say}
 */
export function sayer(...topics) {
  return (key, values = {}) => {
    const text = topics.map((topic) => texts[topic]?.[key]).find(Boolean) ?? key
    return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
  }
}
