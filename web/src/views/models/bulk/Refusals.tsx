// Which of many models an act was refused for, and why: a reason once, with the models that it holds for.

import { Button, Group, List, Modal, Stack, Text } from '@mantine/core'
import { byReason } from '@/parts/several'
import { count } from '@/parts/words'
import type { Refused } from '@/views/models/bulk/acts'

const MOST_NAMES = 20

export function Refusals({ act, done, refused, onClose }: Refused & { onClose: () => void }) {
  const reasons = byReason(refused)
  return (
    <Modal opened onClose={onClose} title={`${count(refused.length, 'model')} could not be ${act.did}`}>
      <Stack>
        <Text>{done.length ? `${count(done.length, 'other was', 'others were')} ${act.did}.` : ''}</Text>
        {[...reasons].map(([reason, ones]) => (
          <div key={reason}>
            <Text fw={600}>{reason}</Text>
            <List size="sm">
              {ones.slice(0, MOST_NAMES).map(({ item }) => (
                <List.Item key={item.id}>
                  <bdi>{item.display_name}</bdi>
                </List.Item>
              ))}
            </List>
            {ones.length > MOST_NAMES && (
              <Text size="sm" c="dimmed">
                and {count(ones.length - MOST_NAMES, 'more', 'more')}
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
