// What this browser remembers. Storage may be disabled or full: then nothing is remembered.

export function readStored(name: string): string | undefined {
  try {
    return localStorage.getItem(name) ?? undefined
  } catch {
    return undefined
  }
}

export function writeStored(name: string, text: string): void {
  try {
    localStorage.setItem(name, text)
  } catch {
    // Nothing depends on it.
  }
}
