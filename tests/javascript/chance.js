/** Numbers by chance that are the same at every run (mulberry32). @param {number} seed @returns {(low: number, high: number) => number} */
export function chance(seed) {
  let state = seed
  return (low, high) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return low + (high - low) * (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32)
  }
}
