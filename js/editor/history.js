const LEVELS = 200

/**
 * What an editor holds, and the states before and after it that undo and redo lead to. States are never changed.
 * @template State
 */
export class History {
  /** @param {State} content */
  constructor(content) {
    this.content = content
    /** @type {State[]} */
    this.past = []
    /** @type {State[]} */
    this.future = []
  }

  /** @param {State} content */
  add(content) {
    this.past.push(this.content)
    if (this.past.length > LEVELS) this.past.shift()
    this.future = []
    this.content = content
  }

  /** @returns {boolean} whether there was a state to go back to */
  undo() {
    if (!this.past.length) return false
    this.future.push(this.content)
    this.content = /** @type {State} */ (this.past.pop())
    return true
  }

  /** @returns {boolean} whether there was a state to go forward to */
  redo() {
    if (!this.future.length) return false
    this.past.push(this.content)
    this.content = /** @type {State} */ (this.future.pop())
    return true
  }
}
