// The models for which a bulk action failed, grouped by reason.

import { Button, Group, List, Modal, Stack, Text } from '@mantine/core'
import { groupByReason } from '@/api/runBatch'
import { formatCount } from '@/components/format'
import type { BulkFailure } from '@/features/models/bulk/actions'

const MAX_NAMES = 20

export function FailuresDialog({ act, done, refused, onClose }: BulkFailure & { onClose: () => void }) {
  const reasons = groupByReason(refused)
  return (
    <Modal opened onClose={onClose} title={`${formatCount(refused.length, 'model')} could not be ${act.pastTense}`}>
      <Stack>
        <Text>{done.length ? `${formatCount(done.length, 'other was', 'others were')} ${act.pastTense}.` : ''}</Text>
        {[...reasons].map(([reason, ones]) => (
          <div key={reason}>
            <Text fw={600}>{reason}</Text>
            <List size="sm">
              {ones.slice(0, MAX_NAMES).map(({ item }) => (
                <List.Item key={item.id}>
                  <bdi>{item.display_name}</bdi>
                </List.Item>
              ))}
            </List>
            {ones.length > MAX_NAMES && (
              <Text size="sm" c="dimmed">
                and {formatCount(ones.length - MAX_NAMES, 'more', 'more')}
              </Text>
            )}
          </div>
        ))}
        <Group justify="flex-end">
          <Button onClick={onClose}>Close</Button>
        </Group>
      </Stack>
    </Modal>
  )
}
