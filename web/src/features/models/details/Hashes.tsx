// The hashes of a model's content: those that the registry computed, and those that the file only claims.

import { Group, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Model, ModelHashes } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/models.module.css'

// Other tools show an AutoV3 with so many digits.
const AUTOV3_DIGITS = 12
// Longer hashes need several lines.
const MAX_LINE_LENGTH = 16
const INCOMPLETE_MILLISECONDS = 5_000

export function Hashes({ model }: { model: Model }) {
  const { data } = useQuery({
    queryKey: ['models', 'hashes', model.id, model.file_hash, model.verification],
    queryFn: ({ signal }) =>
      unwrap(api.GET('/api/v1/models/{model_id}/hashes', { params: { path: { model_id: model.id } }, signal })),
    // AutoV3 and CRC32 are computed some time after verification.
    refetchInterval: ({ state }) => !state.data?.crc32 && INCOMPLETE_MILLISECONDS,
  })
  return (
    <Section title="Hashes">
      <Hash text={model.file_hash} what="SHA-256" />
      {model.blake3_hash && <Hash text={model.blake3_hash} what="BLAKE3" />}
      {data?.autov1 && <Hash text={data.autov1} what="AutoV1" />}
      {data?.autov2 && <Hash text={data.autov2} what="AutoV2" />}
      {data?.autov3 && <Hash text={data.autov3.slice(0, AUTOV3_DIGITS)} what="AutoV3" />}
      {data?.crc32 && <Hash text={data.crc32} what="CRC32" />}
      {data && data.claim_list.length > 0 && <Claims claims={data.claim_list} />}
    </Section>
  )
}

/** Hashes in the metadata of the file, which nobody checked. */
function Claims({ claims }: { claims: ModelHashes['claim_list'] }) {
  return (
    <section aria-label="Claimed hashes">
      <Text size="sm" c="dimmed" mt="xs" mb={4}>
        The file claims these hashes. The registry has not checked them, and a search does not find them.
      </Text>
      {claims.map(({ name, digest }) => (
        <Text key={name} size="sm">
          {name}: <bdi className={classes.hash}>{digest}</bdi>
        </Text>
      ))}
    </section>
  )
}

function Hash({ text, what }: { text: string; what: string }) {
  const isLong = text.length > MAX_LINE_LENGTH
  return (
    <Group gap="xs" wrap="nowrap" align={isLong ? 'flex-start' : 'center'} mb={4}>
      <Text size="sm" c="dimmed" w={72} style={{ flex: 'none' }}>
        {what}
      </Text>
      <span className={classes.hash}>{text.slice(text.indexOf(':') + 1)}</span>
      <CopyButton text={text} what={what} />
    </Group>
  )
}
