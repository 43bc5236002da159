// Names of the program of a session, from the `User-Agent` that signed in.

// In this order: browsers name the ones that they derive from.
const BROWSERS: [RegExp, string][] = [
  [/\bEdg(?:A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Headless)?(?:Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bVersion\/.*Safari\//, 'Safari'],
]
const SYSTEMS: [RegExp, string][] = [
  [/\b(?:iPhone|iPad)\b/, 'iOS'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b|\bMacintosh\b/, 'macOS'],
  [/\bLinux\b|\bX11\b/, 'Linux'],
]

/** `Mozilla/5.0 (X11; Linux x86_64) … Firefox/128.0` → `Firefox on Linux`; other programs stay as they are. */
export function describeProgram(userAgent: string | null): string {
  if (!userAgent) return 'Unknown program'
  const command = /^modelyard\/(\S+)/.exec(userAgent)
  if (command) return `Command line, modelyard ${command[1]}`
  const browser = BROWSERS.find(([pattern]) => pattern.test(userAgent))?.[1]
  const system = SYSTEMS.find(([pattern]) => pattern.test(userAgent))?.[1]
  if (!browser) return userAgent
  return system ? `${browser} on ${system}` : browser
}
