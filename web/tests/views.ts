// The URLs of all views, for tests that visit each of them.

export const VIEWS = [
  '/models',
  '/models?view=table',
  '/models?trash=true',
  '/upload',
  '/machines',
  '/machines?view=matrix',
  '/pair?code=AB7K-PNQ3',
  '/workflows',
  '/collections',
  '/team',
  '/team/keys',
  '/team/history',
  '/team/settings',
  '/account',
] as const

/** Return a file name for a view: `/machines?view=matrix` → `machines-view-matrix`. */
export function buildFileName(view: string): string {
  return view
    .replace(/[^\w]+/g, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase()
}
