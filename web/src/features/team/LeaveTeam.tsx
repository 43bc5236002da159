// Leaves the team; not available to the owner.

import { Button, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { loadUser } from '@/api/session'
import type { Team } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import {
  CreatorKeysDialog,
  getKeysProblem,
  type KeysChoice,
  type KeysQuestion,
} from '@/features/team/CreatorKeysDialog'

export function LeaveTeam({ team }: { team: Team }) {
  const { userId } = usePermissions()
  const [isOpen, { open, close }] = useDisclosure(false)
  const [question, setQuestion] = useState<KeysQuestion>()
  const leave = useMutation({
    mutationFn: (query: KeysChoice) =>
      unwrap(api.DELETE('/api/v1/members/{user_id}', { params: { path: { user_id: userId }, query } })),
    onSuccess: () => loadUser(),
    onError: (error) => {
      const problem = getKeysProblem(error)
      if (!problem) return notifyError(error)
      setQuestion({ creatorId: userId, problem, resume: leave.mutate })
    },
    onSettled: close,
  })
  return (
    <Panel title="Leave">
      <Text>You lose access to this team immediately. Your account stays.</Text>
      <Group>
        <Button variant="default" onClick={open}>
          Leave team
        </Button>
      </Group>
      <Confirm
        title="Leave the team?"
        verb="Leave"
        isOpen={isOpen}
        isBusy={leave.isPending}
        onConfirm={() => leave.mutate({})}
        onClose={close}
      >
        You leave “<bdi>{team.display_name}</bdi>”. The keys of your devices in it end, and those of the machines that
        you paired. Open invitations that you made are withdrawn. To come back you need a new invitation.
      </Confirm>
      <CreatorKeysDialog question={question} onClose={() => setQuestion(undefined)} />
    </Panel>
  )
}
