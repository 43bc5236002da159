// Going, for everybody but the owner.

import { Button, Group, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useMutation } from '@tanstack/react-query'
import { answered, api } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { learnWhoIAm } from '@/api/session'
import type { Team } from '@/api/types'
import { Confirm } from '@/parts/Confirm'
import { failed } from '@/parts/notify'
import { Panel } from '@/parts/Panel'

export function LeaveTeam({ team }: { team: Team }) {
  const { userId } = usePermissions()
  const [isOpen, { open, close }] = useDisclosure(false)
  const leave = useMutation({
    mutationFn: () => answered(api.DELETE('/api/v1/members/{user_id}', { params: { path: { user_id: userId } } })),
    onSuccess: () => learnWhoIAm(),
    onError: failed,
    onSettled: close,
  })
  return (
    <Panel title="Leave">
      <Text>You lose access to this team at once; your account stays.</Text>
      <Group>
        <Button variant="default" onClick={open}>
          Leave the team
        </Button>
      </Group>
      <Confirm
        title="Leave the team?"
        verb="Leave"
        isOpen={isOpen}
        isBusy={leave.isPending}
        onConfirm={() => leave.mutate()}
        onClose={close}
      >
        You leave “<bdi>{team.display_name}</bdi>”. The keys of your devices in it end, and those of the machines that
        you paired. To come back you need a new invitation.
      </Confirm>
    </Panel>
  )
}
