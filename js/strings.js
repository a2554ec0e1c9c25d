import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"

/** @type {Record<string, string>} */
let texts = {}

/** Fetch the words of the pack in the person's language, from locales/, over those in English. */
export async function loadStrings() {
  const answer = await api.fetchApi("/i18n")
  const languages = answer.ok ? await answer.json() : {}
  const language = String(app.extensionManager?.setting.get("Comfy.Locale") ?? "en")
  texts = { ...languages.en?.zeroconv?.sketch, ...languages[language]?.zeroconv?.sketch }
}

/**
 * The text of a key with {names} replaced by values; the key itself where a language lacks it.
 * @param {string} key
 * @param {Record<string, string | number>} values
 * @returns {string}
 */
export function say(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
}
