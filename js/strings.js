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

/**
 * What says the words of a topic: the text of a key with {names} replaced by values; the key itself where a language
 * lacks it.
 * @param {string} topic
 * @returns {(key: string, values?: Record<string, string | number>) => string}
 */
export const sayer =
  (topic) =>
  (key, values = {}) =>
    (texts[topic]?.[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))

/** Says the words of the sketch pad. */
export const say = sayer("sketch")
