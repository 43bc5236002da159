// What the extension uses of ComfyUI's page; pages 1.27 and 1.58. A member that one of them lacks is optional.

export interface Widget {
  name: string
  value: unknown
  options?: { values?: unknown[] | ((widget: Widget, node: GraphNode) => unknown[] | undefined) }
  callback?: (value: unknown) => void
}

export interface GraphNode {
  id: number | string
  type: string
  mode: number
  pos: [number, number]
  widgets?: Widget[]
  inputs?: { name: string; widget?: { name: string } }[]
  isInputConnected(slot: number): boolean
  properties?: { models?: { name: string; directory?: string; url?: string }[] }
  subgraph?: Graph
}

export interface Graph {
  nodes: GraphNode[]
  serialize(): object
  add(node: GraphNode): void
}

export interface SidebarTabEntry {
  id: string
  icon: string
  title: string
  tooltip: string
  type: 'custom'
  iconBadge?: string
  render: (container: HTMLElement) => void
}

export interface App {
  graph: Graph
  rootGraph?: Graph
  canvas: { canvas: HTMLCanvasElement; graph?: Graph; setDirty(foreground: boolean, background: boolean): void }
  extensionManager: {
    registerSidebarTab(tab: SidebarTabEntry): void
    getSidebarTabs?(): SidebarTabEntry[]
    toast: {
      success?(title: string): void
      error?(title: string): void
      add(message: { severity: 'success' | 'error'; summary: string; life: number }): void
    }
  }
  registerExtension(extension: { name: string; setup?(): void; afterConfigureGraph?(): void }): void
  refreshMissingModels?(options: { silent: boolean }): Promise<unknown>
  refreshComboInNodes(): Promise<void>
  clientPosToCanvasPos(position: [number, number]): [number, number]
}

declare global {
  interface Window {
    LiteGraph: { createNode(type: string): GraphNode | null }
  }
}
