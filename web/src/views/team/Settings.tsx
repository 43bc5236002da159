// What the team is called and what it may do; and the steps that end something: hand over, leave, delete.

import { Stack } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import { useTeam } from '@/api/useTeam'
import { Heading } from '@/parts/Heading'
import { Failed, Loading, MayBeOld } from '@/parts/states'
import { DeleteTeam } from '@/views/team/DeleteTeam'
import { LeaveTeam } from '@/views/team/LeaveTeam'
import { NewTeam } from '@/views/team/NewTeam'
import { Facts, SettingsForm, Storage } from '@/views/team/SettingsForm'
import { TransferTeam } from '@/views/team/TransferTeam'

export function Settings() {
  const { may } = usePermissions()
  const team = useTeam()
  const again = () => void team.refetch()
  const isOwner = may('transfer team')
  return (
    <>
      <Heading title="Team settings" />
      {team.isError && !team.data && <Failed error={team.error} again={again} />}
      {team.isPending && <Loading what="Loading the settings" />}
      {team.data && (
        <Stack gap="lg" maw={640}>
          {team.isError && <MayBeOld error={team.error} again={again} />}
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
