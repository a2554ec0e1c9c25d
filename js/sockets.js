import { app } from "../../scripts/app.js"
import { element } from "./elements.js"

/** Colors of the sockets and wires whose type is the pack's own, readable on dark and light canvases. */
const COLORS = {
  ZEROCONV_SCHEDULE: "#60a5fa",
  ZEROCONV_BLOCK_WEIGHTS: "#f0a35e",
  ZEROCONV_DATASET: "#c084fc",
  ZEROCONV_TRAINING_OPTIONS: "#d9a3b8",
}

app.registerExtension({
  name: "ZeroConv.Sockets",
  setup() {
    const canvas = /** @type {any} */ (app.canvas)
    // Each palette that the front end loads clears the colors of the types that it lacks; these stay.
    for (const colors of [canvas.default_connection_color_byType, canvas.constructor.link_type_colors]) {
      for (const [type, color] of Object.entries(COLORS)) {
        Object.defineProperty(colors, type, { get: () => color, set() {}, enumerable: true, configurable: true })
      }
    }
    // Nodes 2.0 reads them from the style of the page.
    const rules = Object.entries(COLORS).map(([type, color]) => `--color-datatype-${type}: ${color};`)
    document.head.append(element("style", {}, `:root { ${rules.join(" ")} }`))
  },
})
