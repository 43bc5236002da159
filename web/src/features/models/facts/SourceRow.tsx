// Where a model came from, and whether there is a newer version, which can be imported as the next one.

import { Anchor, Button, Group, Stack, Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { formatDay } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { useImportDialog } from '@/features/imports/useImportDialog'
import { Row } from '@/features/models/details/Section'

export function SourceRow({ model, url }: { model: Model; url: string }) {
  const { may } = usePermissions()
  return (
    <>
      <Row name="Source">
        <Stack gap={4} align="flex-start">
          <Anchor href={url} target="_blank" rel="noopener noreferrer nofollow" size="sm">
            <bdi>{url}</bdi>
          </Anchor>
          {model.newer_at_source && (
            <Text size="sm">
              Newer there: <bdi>{model.newer_at_source.name}</bdi> (checked{' '}
              {formatDay(model.newer_at_source.checked_at)})
            </Text>
          )}
        </Stack>
      </Row>
      {may('imports_change') && !model.deleted_at && (
        // In a narrow column the buttons need its whole width.
        <dd style={{ gridColumn: '1 / -1' }}>
          <SourceButtons model={model} />
        </dd>
      )}
    </>
  )
}

function SourceButtons({ model }: { model: Model }) {
  const { mayChange } = usePermissions()
  const cache = useQueryClient()
  const { addFromLink, dialog } = useImportDialog()
  const check = useMutation({
    mutationFn: () =>
      unwrap(api.POST('/api/v1/models/{model_id}/check-source', { params: { path: { model_id: model.id } } })),
    onSuccess: async ({ newer_at_source: newer }) => {
      notify(newer ? `The source has a newer version: ${newer.name}.` : 'The source has no newer version.')
      await cache.invalidateQueries({ queryKey: ['models'] })
    },
    onError: notifyError,
  })
  const newer = model.newer_at_source
  return (
    <Group gap="xs">
      <Button size="compact-sm" variant="default" loading={check.isPending} onClick={() => check.mutate()}>
        Check for a newer version
      </Button>
      {newer && mayChange(model) && (
        <Button size="compact-sm" onClick={() => addFromLink({ url: newer.url, replaces: model })}>
          Import as next version
        </Button>
      )}
      {dialog}
    </Group>
  )
}
