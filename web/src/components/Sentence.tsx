// A sentence of an agent or the registry, in which commands are between backticks.

/** Show the text with what is between backticks as code. */
export function Sentence({ text }: { text: string }) {
  const parts = text.split('`')
  // An odd number of backticks: one is part of a name.
  if (parts.length % 2 === 0) return text
  // biome-ignore lint/suspicious/noArrayIndexKey: the parts have no state
  return parts.map((part, place) => (place % 2 === 1 ? <code key={place}>{part}</code> : part))
}
