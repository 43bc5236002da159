// The members page: members and open invitations.

import { Button, Stack, TextInput, Title } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconSearch, IconUserPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { Invitations } from '@/features/team/Invitations'
import { Invite } from '@/features/team/Invite'
import { MemberTable } from '@/features/team/MemberTable'
import { matchesSearch, useMembers } from '@/features/team/members'

// The search is shown for more members than this.
const SEARCH_FROM_MEMBERS = 10

export function Team() {
  const { may } = usePermissions()
  const [isInviting, { open, close }] = useDisclosure(false)
  if (!may('members_list')) {
    return (
      <>
        <Heading title="Members" />
        <Empty title="Only admins can see the members">Ask an admin of the team.</Empty>
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
  if (members.isError && !members.data) return <LoadError error={members.error} onRetry={again} />
  if (!members.data) return <Loading label="Loading the members" />
  const found = members.data.filter((one) => matchesSearch(typed, one.display_name, one.email_address, one.member_role))
  return (
    <Stack component="section" aria-label="Members" gap="sm">
      {members.isError && <StaleDataNotice error={members.error} onRetry={again} />}
      <Title order={2} size="h4">
        {formatCount(members.data.length, 'member')}
      </Title>
      {members.data.length > SEARCH_FROM_MEMBERS && (
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
      {found.length ? (
        <MemberTable members={found} />
      ) : (
        <Empty title="No members match">Change or clear the search.</Empty>
      )}
    </Stack>
  )
}
