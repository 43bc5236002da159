// Who is in the team, as what, and who is invited.

import { Button, Stack, TextInput, Title } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconSearch, IconUserPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { Heading } from '@/parts/Heading'
import { Empty, Failed, Loading, MayBeOld } from '@/parts/states'
import { count } from '@/parts/words'
import { Invitations } from '@/views/team/Invitations'
import { Invite } from '@/views/team/Invite'
import { MemberTable } from '@/views/team/MemberTable'
import { fits, useMembers } from '@/views/team/people'

// Below this, everybody is seen at a glance.
const SEARCHED = 10

export function Team() {
  const { may } = usePermissions()
  const [isInviting, { open, close }] = useDisclosure(false)
  if (!may('manage members')) {
    return (
      <>
        <Heading title="Members" />
        <Empty title="Only admins see the members">Ask an admin of the team.</Empty>
      </>
    )
  }
  return (
    <>
      <Heading title="Members">
        <Button leftSection={<IconUserPlus size={18} aria-hidden />} onClick={open}>
          Invite
        </Button>
      </Heading>
      <Stack gap="xl">
        <Members />
        <Invitations />
      </Stack>
      <Invite isOpen={isInviting} onClose={close} />
    </>
  )
}

function Members() {
  const members = useMembers()
  const [typed, setTyped] = useState('')
  const again = () => void members.refetch()
  if (members.isError && !members.data) return <Failed error={members.error} again={again} />
  if (!members.data) return <Loading what="Loading the members" />
  const found = members.data.filter((one) => fits(typed, one.display_name, one.email_address, one.member_role))
  return (
    <Stack component="section" aria-label="Members" gap="sm">
      {members.isError && <MayBeOld error={members.error} again={again} />}
      <Title order={2} size="h4">
        {count(members.data.length, 'member')}
      </Title>
      {members.data.length > SEARCHED && (
        <TextInput
          type="search"
          aria-label="Search members"
          placeholder="Name, e-mail or role"
          maw={360}
          leftSection={<IconSearch size={16} aria-hidden />}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
        />
      )}
      {found.length ? <MemberTable members={found} /> : <Empty title="Nobody fits">Type less.</Empty>}
    </Stack>
  )
}
