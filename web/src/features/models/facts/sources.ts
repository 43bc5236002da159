// Where the licence and the author of a model come from, as people read it.

import type { Model } from '@/api/types'

export type FactSource = NonNullable<Model['license_source']>

export const FACT_SOURCES: Record<FactSource, string> = {
  person: 'entered by a person',
  file: 'declared by the file',
  sidecar: 'from a file beside it, or where it was imported from',
}
