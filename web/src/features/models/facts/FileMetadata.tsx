// Metadata declared by the model file. It is not verified.

import type { Model } from '@/api/types'
import { Row, Rows } from '@/features/models/details/Section'
import classes from '@/features/models/models.module.css'
import { AllTags } from '@/features/models/Tags'

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })

type Metadata = Model['metadata']

export function FileRows({ metadata }: { metadata: Metadata }) {
  const tags = texts(metadata.tags)
  const dtypes = entries(metadata.tensor_dtypes)
  return (
    <>
      {text(metadata.architecture) && (
        <Row name="Architecture">
          <bdi>{text(metadata.architecture)}</bdi>
        </Row>
      )}
      {text(metadata.format) && <Row name="Format">{text(metadata.format)}</Row>}
      {typeof metadata.parameter_count === 'number' && (
        <Row name="Parameters">{compact.format(metadata.parameter_count)}</Row>
      )}
      {dtypes.length > 0 && (
        <Row name="Tensors">{dtypes.map(([name, number]) => `${number} × ${name}`).join(', ')}</Row>
      )}
      {tags.length > 0 && (
        <Row name="Tags in the file">
          <AllTags tags={tags} />
        </Row>
      )}
    </>
  )
}

/** What else the file declares, collapsed. */
export function AllMetadata({ metadata }: { metadata: Metadata }) {
  const extra = entries(metadata.extra)
  if (extra.length === 0) return null
  return (
    <details className={classes.more}>
      <summary>All metadata of the file ({extra.length})</summary>
      <Rows>
        {extra.map(([name, value]) => (
          <Row key={name} name={name}>
            <bdi>{value}</bdi>
          </Row>
        ))}
      </Rows>
    </details>
  )
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

function entries(value: unknown): [string, string][] {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return entries.map(([name, one]) => [name, String(one)])
}
