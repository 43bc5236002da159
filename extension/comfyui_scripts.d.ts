// The two scripts of ComfyUI's page that extensions import.

declare module '*/scripts/app.js' {
  export const app: import('./comfyui_page').App
}

declare module '*/scripts/api.js' {
  export const api: EventTarget
}
