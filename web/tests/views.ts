// Every view by its address, for the tests that go through all of them.

export const VIEWS = [
  '/models',
  '/models?view=grid',
  '/models?trash=true',
  '/upload',
  '/machines',
  '/machines?view=matrix',
  '/pair?code=AB7K-PNQ3',
  '/team',
  '/team/keys',
  '/team/history',
  '/team/settings',
  '/account',
] as const

/** A name of a file for a view: `/machines?view=matrix` → `machines-view-matrix`. */
export function nameOf(view: string): string {
  return view
    .replace(/[^\w]+/g, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase()
}
