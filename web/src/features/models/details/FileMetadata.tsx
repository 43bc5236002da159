// Metadata declared by the model file. It is not verified, and the heading says so.

import { Group, Stack, Text } from '@mantine/core'
import type { Model } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { Row, Rows, Section } from '@/features/models/details/Section'
import classes from '@/features/models/models.module.css'
import { AllTags } from '@/features/models/Tags'

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })

export function FileMetadata({ metadata }: { metadata: Model['metadata'] }) {
  const words = texts(metadata.trigger_words)
  const tags = texts(metadata.tags)
  const dtypes = entries(metadata.tensor_dtypes)
  const extra = entries(metadata.extra)
  return (
    <Section title="Declared by the file">
      <Rows>
        {text(metadata.format) && <Row name="Format">{text(metadata.format)}</Row>}
        {text(metadata.architecture) && (
          <Row name="Architecture">
            <bdi>{text(metadata.architecture)}</bdi>
          </Row>
        )}
        {typeof metadata.parameter_count === 'number' && (
          <Row name="Parameters">{compact.format(metadata.parameter_count)}</Row>
        )}
        {dtypes.length > 0 && (
          <Row name="Tensors">{dtypes.map(([name, number]) => `${number} × ${name}`).join(', ')}</Row>
        )}
        {words.length > 0 && (
          <Row name="Trigger words">
            <TriggerWords words={words} />
          </Row>
        )}
        {tags.length > 0 && (
          <Row name="Tags in the file">
            <AllTags tags={tags} />
          </Row>
        )}
      </Rows>
      {extra.length > 0 && (
        <details className={classes.more}>
          <summary>All metadata ({extra.length})</summary>
          <Rows>
            {extra.map(([name, value]) => (
              <Row key={name} name={name}>
                <bdi>{value}</bdi>
              </Row>
            ))}
          </Rows>
        </details>
      )}
    </Section>
  )
}

function TriggerWords({ words }: { words: string[] }) {
  return (
    <Stack gap={2}>
      {words.map((word) => (
        <Group key={word} gap={4} wrap="nowrap">
          <Text size="sm">
            <bdi>{word}</bdi>
          </Text>
          <CopyButton text={word} what={`“${word}”`} />
        </Group>
      ))}
      {words.length > 1 && (
        <Group gap={4}>
          <Text size="sm" c="dimmed">
            All trigger words
          </Text>
          <CopyButton text={words.join(', ')} what="all trigger words" />
        </Group>
      )}
    </Stack>
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
