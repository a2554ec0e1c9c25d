import type { ComfyApi } from "@comfyorg/comfyui-frontend-types"

/** What ComfyUI serves as /scripts/api.js. */
export const api: ComfyApi
