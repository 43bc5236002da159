// A browser opens a file that is dropped on a page, which then loses what was typed.

/** Ignore dropped files where no view takes them; views that do are asked after this. */
export function ignoreDrops(): void {
  addEventListener('dragover', (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault()
    event.dataTransfer.dropEffect = 'none'
  })
  addEventListener('drop', (event: DragEvent) => {
    if (event.dataTransfer?.types.includes('Files')) event.preventDefault()
  })
}
