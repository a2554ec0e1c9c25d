import { api } from "../../scripts/api.js"
import { app } from "../../scripts/app.js"
import { pathOf, runOnly } from "./partialRun.js"

/** Milliseconds without a change after which it runs. */
const PATIENCE = 250

/** Runs some nodes again, with what they need and nothing else, whenever anything that goes into them has changed. */
export class Live {
  /**
   * @param {any} node whose it is
   * @param {() => any[]} goals the nodes to run
   * @param {() => void} shown called when it is switched and when a run begins or ends
   * @param {boolean} supersedes whether a change cancels the run in progress; else that one ends first
   */
  constructor(node, goals, shown, supersedes = false) {
    this.node = node
    this.goals = goals
    this.shown = shown
    this.supersedes = supersedes
    this.running = false
    /** @type {AbortController | null} */
    this.listening = null
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined
    /** What went into the last run. */
    this.seen = ""
    /** What runs, as the server calls it. @type {any[]} */
    this.targets = []
    /** Number of the run in progress. */
    this.id = ""
    /** Whether something has changed since that began. */
    this.outdated = false
    const before = node.onRemoved
    node.onRemoved = (/** @type {any[]} */ ...values) => {
      before?.apply(node, values)
      this.switch(false)
    }
  }

  /** Called when there is nothing to run; whoever has a place for words says so. */
  nothing() {}

  get on() {
    return this.listening !== null
  }

  /** @param {boolean} on */
  switch(on) {
    if (on === this.on) return
    this.listening?.abort()
    this.listening = on ? new AbortController() : null
    if (this.listening) {
      // By this event the front end's own "Run (On Change)" works as well.
      api.addEventListener(/** @type {any} */ ("graphChanged"), () => this.changed(), { signal: this.listening.signal })
      this.seen = ""
      this.#look()
    }
    clearTimeout(this.timer)
    this.shown()
  }

  /** Something about the graph is another; whether it matters is found out when it has come to rest. */
  changed() {
    clearTimeout(this.timer)
    if (this.on) this.timer = setTimeout(() => this.#look(), PATIENCE)
  }

  async #look() {
    const { output } = await app.graphToPrompt()
    const targets = this.goals().map((goal) => pathOf(goal)).filter((path) => path && path in output)
    const needs = JSON.stringify(needed(output, targets))
    if (!this.on || needs === this.seen) return
    if (!targets.length) {
      this.switch(false)
      return this.nothing()
    }
    this.seen = needs
    this.targets = targets
    if (!this.running) return this.#run()
    this.outdated = true
    this.#cancel()
  }

  /** @returns {Promise<void>} */
  async #run() {
    this.running = true
    this.outdated = false
    this.id = ""
    this.shown()
    const done = await runOnly(this.targets, this.node.title, (id) => {
      this.id = id
      if (this.outdated) this.#cancel()
    })
    this.running = false
    if (this.outdated && this.on) return this.#run()
    if (!done) this.switch(false)
    this.shown()
  }

  #cancel() {
    if (!this.supersedes || !this.id) return
    const body = JSON.stringify({ prompt_id: this.id })
    api.fetchApi("/interrupt", { method: "POST", headers: { "Content-Type": "application/json" }, body })
  }
}

/**
 * The part of a graph that some nodes need, as it is queued.
 * @param {Record<string, any>} output
 * @param {any[]} targets
 */
function needed(output, targets) {
  /** @type {Record<string, any>} */
  const found = {}
  for (const waiting = [...targets]; waiting.length; ) {
    const path = String(waiting.pop())
    if (path in found || !(path in output)) continue
    const { class_type, inputs } = output[path]
    found[path] = [class_type, inputs]
    for (const value of Object.values(inputs)) if (Array.isArray(value)) waiting.push(value[0])
  }
  return found
}
