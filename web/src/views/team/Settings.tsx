// What the team is called and what it may do; and the steps that end something: hand over, leave, delete.

import { Stack } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import { Heading } from '@/parts/Heading'
import { Failed, Loading } from '@/parts/states'
import { DeleteTeam } from '@/views/team/DeleteTeam'
import { LeaveTeam } from '@/views/team/LeaveTeam'
import { NewTeam } from '@/views/team/NewTeam'
import { Facts, SettingsForm, Storage } from '@/views/team/SettingsForm'
import { TransferTeam } from '@/views/team/TransferTeam'
import { useTeam } from '@/api/useTeam'

export function Settings() {
  const { may } = usePermissions()
  const team = useTeam()
  const isOwner = may('transfer team')
  return (
    <>
      <Heading title="Team settings" />
      {team.isError && <Failed error={team.error} again={() => void team.refetch()} />}
      {team.isPending && <Loading what="Loading the settings" />}
      {team.data && (
        <Stack gap="lg" maw={640}>
          <Storage team={team.data} />
          {may('change team') ? <SettingsForm team={team.data} /> : <Facts team={team.data} />}
          <NewTeam />
          {isOwner ? <TransferTeam /> : <LeaveTeam team={team.data} />}
          {isOwner && <DeleteTeam team={team.data} />}
        </Stack>
      )}
    </>
  )
}
