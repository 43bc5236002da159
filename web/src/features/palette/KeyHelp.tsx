// The keys of the page, and a switch for those that are single characters.

import { Modal, Stack, Switch, Table } from '@mantine/core'
import { useState } from 'react'
import { areKeysOn, setKeysOn } from '@/components/characterKeys'
import { useOpenedOnceMounted } from '@/components/lazyOpening'
import classes from '@/features/palette/palette.module.css'

const KEYS: readonly { keys: readonly string[]; does: string; where?: string }[] = [
  { keys: ['Ctrl', 'K'], does: 'Jump to a model, machine, person or action' },
  { keys: ['/'], does: 'Search models' },
  { keys: ['?'], does: 'Show these keys' },
  { keys: ['←', '→', '↑', '↓'], does: 'Go to another model in the list' },
  { keys: ['Home', 'End'], does: 'First and last of the row; with Ctrl, of the list' },
  { keys: ['Enter'], does: 'Open the model' },
  { keys: ['Space'], does: 'Select the model; with Shift, all up to it' },
  { keys: ['c'], does: 'In the list: copy the trigger words' },
  { keys: ['f'], does: 'In the list: go to the filters' },
  { keys: ['v'], does: 'In the list: switch between gallery and table' },
  { keys: ['[', ']'], does: 'On the page of a model: previous and next' },
]

export function KeyHelp({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const opened = useOpenedOnceMounted(isOpen)
  const [isOn, setOn] = useState(areKeysOn)
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard shortcuts" size="md">
      <Stack>
        <Table verticalSpacing={6} aria-label="Keyboard shortcuts">
          <Table.Tbody>
            {KEYS.map(({ keys, does }) => (
              <Table.Tr key={does}>
                <Table.Th scope="row" w={120}>
                  {keys.map((key) => (
                    <kbd key={key} className={classes.key}>
                      {key}
                    </kbd>
                  ))}
                </Table.Th>
                <Table.Td>{does}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        <Switch
          label="Use keys that are one character"
          description="Turn them off if you use voice control."
          checked={isOn}
          onChange={(event) => {
            setKeysOn(event.currentTarget.checked)
            setOn(event.currentTarget.checked)
          }}
        />
      </Stack>
    </Modal>
  )
}
