// Asks what happens to the keys of an admin who leaves or is demoted; the registry requires an answer.

import { Button, Code, Group, List, Modal, NativeSelect, Radio, Stack, Text } from '@mantine/core'
import { useState } from 'react'
import { asProblem, type Problem } from '@/api/problem'
import { formatCount } from '@/components/format'
import { notifyUntilClosed } from '@/components/notify'
import { KIND_LABELS } from '@/features/team/keyLabels'
import { useMembers } from '@/features/team/members'
import { KEY_CREATOR_ROLES } from '@/generated/permissions'

/** The choice, as query parameters. */
export type KeysChoice = { keys_to: string } | { keys: 'stop' } | Record<string, never>

export interface KeysQuestion {
  creatorId: string
  problem: Problem
  /** Repeats the change with the choice. */
  resume: (choice: KeysChoice) => void
}

/** Return the problem if the registry asks what happens to the keys. */
export function getKeysProblem(error: unknown): Problem | undefined {
  const problem = asProblem(error)
  return problem.is('keys_would_stop') ? problem : undefined
}

export function notifyToRotate(choice: KeysChoice): void {
  if ('keys_to' in choice) {
    notifyUntilClosed('The person may still know the secrets of the transferred keys. Rotate them under Keys.')
  }
}

interface ListedKey {
  id: string
  kind: keyof typeof KIND_LABELS
  display_name: string
  key_prefix: string
}

export function CreatorKeysDialog({ question, onClose }: { question: KeysQuestion | undefined; onClose: () => void }) {
  return (
    <Modal
      opened={question !== undefined}
      onClose={onClose}
      title="Keys would stop working"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {question && <Choice question={question} onClose={onClose} />}
    </Modal>
  )
}

function Choice({ question, onClose }: { question: KeysQuestion; onClose: () => void }) {
  const { creatorId, problem, resume } = question
  const candidates = (useMembers().data ?? []).filter(
    (one) => one.user_id !== creatorId && KEY_CREATOR_ROLES.some((role) => role === one.member_role),
  )
  const [isStop, setStop] = useState(false)
  const [chosen, setChosen] = useState('')
  const recipientId = chosen || candidates[0]?.user_id || ''
  const confirm = () => {
    onClose()
    resume(isStop ? { keys: 'stop' } : { keys_to: recipientId })
  }
  return (
    <Stack>
      <Text component="div">
        Keys for programs and machines work only while the person responsible for them is an admin. This person is
        responsible for {formatCount(Number(problem.facts.key_count), 'key')}:
      </Text>
      <Keys of={problem.facts.key_list as ListedKey[]} />
      <Radio.Group
        label="What happens to the keys"
        value={isStop ? 'stop' : 'hand over'}
        onChange={(value) => setStop(value === 'stop')}
      >
        <Stack gap="xs" mt="xs">
          <Radio
            value="hand over"
            label="Transfer them"
            description="They keep working. The person may still know their secrets: rotate the keys afterwards."
          />
          <Radio value="stop" label="Revoke them" description="Programs and machines that use them are refused." />
        </Stack>
      </Radio.Group>
      {!isStop && (
        <NativeSelect
          label="New responsible admin"
          data={candidates.map((one) => ({ value: one.user_id, label: `${one.display_name} (${one.email_address})` }))}
          value={recipientId}
          onChange={(event) => setChosen(event.currentTarget.value)}
        />
      )}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button color="red" disabled={!isStop && !recipientId} onClick={confirm}>
          {isStop ? 'Revoke keys and continue' : 'Transfer keys and continue'}
        </Button>
      </Group>
    </Stack>
  )
}

function Keys({ of: keys }: { of: ListedKey[] }) {
  return (
    <List size="sm" mah={200} style={{ overflowY: 'auto' }} tabIndex={0} aria-label="Keys that would stop">
      {keys.map((key) => (
        <List.Item key={key.id}>
          <bdi>{key.display_name}</bdi> <Code>{key.key_prefix}…</Code> {KIND_LABELS[key.kind].toLowerCase()}
        </List.Item>
      ))}
    </List>
  )
}
