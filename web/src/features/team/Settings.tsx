// The team settings page: general settings, storage, transferring, leaving and deleting.

import { Stack } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import { useTeam } from '@/api/useTeam'
import { Heading } from '@/components/Heading'
import { LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { SourceTokens } from '@/features/imports/SourceTokens'
import { DeleteTeam } from '@/features/team/DeleteTeam'
import { LeaveTeam } from '@/features/team/LeaveTeam'
import { NewTeam } from '@/features/team/NewTeam'
import { SettingsForm, SettingsSummary, Storage } from '@/features/team/SettingsForm'
import { TransferTeam } from '@/features/team/TransferTeam'
import { Webhooks } from '@/features/webhooks/Webhooks'
import { TeamLoaders } from '@/features/workflows/TeamLoaders'

export function Settings() {
  const { may } = usePermissions()
  const team = useTeam()
  const again = () => void team.refetch()
  const isOwner = may('team_transfer')
  return (
    <>
      <Heading title="Team settings" />
      {team.isError && !team.data && <LoadError error={team.error} onRetry={again} />}
      {team.isPending && <Loading label="Loading the settings" />}
      {team.data && (
        <Stack gap="lg" maw={640}>
          {team.isError && <StaleDataNotice error={team.error} onRetry={again} />}
          <Storage team={team.data} />
          {may('team_change') ? <SettingsForm team={team.data} /> : <SettingsSummary team={team.data} />}
          <TeamLoaders team={team.data} />
          {may('source_tokens_manage') && <SourceTokens />}
          {may('webhooks_manage') && <Webhooks />}
          <NewTeam />
          {isOwner ? <TransferTeam /> : <LeaveTeam team={team.data} />}
          {isOwner && <DeleteTeam team={team.data} />}
        </Stack>
      )}
    </>
  )
}
