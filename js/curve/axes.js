/** @typedef {import("./schedule.js").Keyframe} Keyframe */

/** The noise level at which Stable Diffusion begins. */
const FIRST_SIGMA = 14.6146
/** Free height above the strongest keyframe, to drag into. */
const HEADROOM = 1.15

/** Where positions and strengths of a schedule lie on its picture, both as fractions 0..1, upwards and to the right. */
export class Axes {
  /** @param {readonly Keyframe[]} keyframes @param {string} counting */
  constructor(keyframes, counting) {
    this.sigma = counting === "sigma"
    this.far = Math.max(FIRST_SIGMA, ...keyframes.map(({ position }) => position))
    const strengths = keyframes.map(({ strength }) => strength)
    this.low = Math.min(0, ...strengths) * HEADROOM
    this.high = Math.max(1, ...strengths) * HEADROOM
  }

  /** Low noise levels get more room, as they do among the steps. @param {number} position */
  across(position) {
    return this.sigma ? 1 - Math.cbrt(position / this.far) : position
  }

  /** @param {number} across */
  position(across) {
    const inside = Math.min(1, Math.max(0, across))
    return this.sigma ? this.far * (1 - inside) ** 3 : inside
  }

  /** @param {number} strength */
  up(strength) {
    return (strength - this.low) / (this.high - this.low)
  }

  /** @param {number} up */
  strength(up) {
    return this.low + Math.min(1, Math.max(0, up)) * (this.high - this.low)
  }

  /** A position as it is written: to hundredths. @param {number} position */
  round(position) {
    return Math.round(position * 100) / 100
  }

  /** Positions that the axis names. @returns {number[]} */
  get marks() {
    return this.sigma ? [14, 7, 3, 1, 0.3, 0] : [0, 0.25, 0.5, 0.75, 1]
  }

  /** Strengths that get a line. @returns {number[]} */
  get lines() {
    const whole = Math.max(1, Math.ceil((this.high - this.low) / 4))
    const step = this.high - this.low < 2.5 ? 0.5 : whole
    const lines = []
    for (let strength = Math.ceil(this.low / step) * step; strength <= this.high; strength += step) lines.push(strength)
    return lines
  }
}
