// The letters that stand for a person or a model without a picture.

/** `Moss & Stone` → `MS`, `t5xxl_fp8_e4m3fn` → `TF`, `Linocut` → `LI`. */
export function initialsOf(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? []
  const [first, second] = words.length > 1 ? words.map((word) => [...word][0]) : [...(words[0] ?? name)]
  return `${first ?? ''}${second ?? ''}`.toUpperCase()
}
