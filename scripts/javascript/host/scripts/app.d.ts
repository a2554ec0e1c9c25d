import type { ComfyApp } from "@comfyorg/comfyui-frontend-types"

/** What ComfyUI serves as /scripts/app.js. */
export const app: ComfyApp
