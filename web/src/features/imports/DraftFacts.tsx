// What cannot be changed in a draft: its source, size and hash.

import { Anchor, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import type { ImportDraft } from '@/api/types'
import { formatBytes } from '@/components/format'
import classes from '@/features/imports/imports.module.css'

const KINDS: Record<ImportDraft['source']['kind'], string> = {
  huggingface: 'Hugging Face',
  civitai: 'Civitai',
  direct: 'https',
}

export function DraftFacts({ draft: { source, file_name, size, hashes } }: { draft: ImportDraft }) {
  return (
    <dl className={classes.facts}>
      <Fact name="Source">
        {KINDS[source.kind]}: <SourceLink source={source} />
        {source.revision && (
          <Text span size="sm" c="dimmed">
            {' '}
            at <bdi>{source.revision}</bdi>
          </Text>
        )}
      </Fact>
      <Fact name="File">
        <bdi>{file_name}</bdi>
      </Fact>
      <Fact name="Size">{size === null ? 'unknown' : formatBytes(size)}</Fact>
      <Fact name="SHA-256">
        {hashes.sha256 ? (
          <span className={classes.hash}>{hashes.sha256.replace('sha256:', '')}</span>
        ) : (
          'not declared by the source'
        )}
      </Fact>
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

function SourceLink({ source: { name, page_url } }: Pick<ImportDraft, 'source'>) {
  if (!/^https?:/.test(page_url)) return <bdi>{name}</bdi>
  return (
    <Anchor href={page_url} target="_blank" rel="noopener noreferrer nofollow" size="sm">
      <bdi>{name}</bdi>
    </Anchor>
  )
}
