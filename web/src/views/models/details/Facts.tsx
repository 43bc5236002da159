// What a model file says of itself. All of it is a stranger's claim, and shown as such.

import { Group, Stack, Text } from '@mantine/core'
import type { Model } from '@/api/types'
import { CopyButton } from '@/parts/copying'
import { AllTags } from '@/views/models/details/Record'
import { Row, Rows, Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })

export function Facts({ metadata }: { metadata: Model['metadata'] }) {
  const words = texts(metadata.trigger_words)
  const tags = texts(metadata.tags)
  const dtypes = entries(metadata.tensor_dtypes)
  const extra = entries(metadata.extra)
  return (
    <Section title="What the file says">
      <Rows>
        {text(metadata.format) && <Row name="Format">{text(metadata.format)}</Row>}
        {text(metadata.architecture) && (
          <Row name="Looks like">
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
          <Row name="Its own tags">
            <AllTags tags={tags} />
          </Row>
        )}
      </Rows>
      {extra.length > 0 && (
        <details className={classes.more}>
          <summary>All that it says ({extra.length})</summary>
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
            All of them
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
  const found = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return found.map(([name, one]) => [name, String(one)])
}
