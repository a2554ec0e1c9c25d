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
    const before = this.past.pop()
    if (!before) return false
    this.future.push(this.content)
    this.content = before
    return true
  }

  /** @returns {boolean} whether there was a state to go forward to */
  redo() {
    const after = this.future.pop()
    if (!after) return false
    this.past.push(this.content)
    this.content = after
    return true
  }
}
