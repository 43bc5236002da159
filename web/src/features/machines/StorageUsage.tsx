// Storage of the registry: the team's use and quota, and the server's free disk space if the store reports it.

import { Alert, Group, Paper, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { api } from '@/api/client'
import type { Team } from '@/api/types'
import { useTeam } from '@/api/useTeam'
import { formatBytes } from '@/components/format'
import { isFull, isNearlyFull, UsageBar } from '@/features/machines/DiskUsage'

const LOOK_MILLISECONDS = 30_000
const refreshOptions = { refetchInterval: LOOK_MILLISECONDS, staleTime: LOOK_MILLISECONDS } as const

export function StorageUsage() {
  const team = useTeam(refreshOptions)
  const disk = useQuery({ queryKey: ['disk space'], queryFn: readDiskSpace, ...refreshOptions })
  // Secondary information on this page: what cannot be loaded is left out.
  if (!team.data) return null
  const shares = buildShares(team.data, disk.data ?? null)
  return (
    <Paper withBorder p="sm" mb="md" component="section" aria-label="Registry storage">
      <Stack gap="xs">
        <Group gap="xl">
          <Text size="sm">
            The registry stores{' '}
            <Text span fw={600}>
              {formatBytes(team.data.stored_bytes)}
            </Text>{' '}
            for this team
          </Text>
          {shares.map((share) => (
            <Stack key={share.name} gap={4} miw={200} flex="1 1 200px" maw={360}>
              <Text size="sm">{share.text}</Text>
              <UsageBar ratio={share.ratio} label={share.name} />
            </Stack>
          ))}
        </Group>
        {shares
          .filter((share) => isNearlyFull(share.ratio))
          .map((share) => (
            <Alert key={share.name} color={isFull(share.ratio) ? 'red' : 'orange'} role="status" p="xs">
              <Text size="sm">{isFull(share.ratio) ? share.full : share.nearlyFull}</Text>
            </Alert>
          ))}
      </Stack>
    </Paper>
  )
}

interface Share {
  name: string
  text: string
  ratio: number
  nearlyFull: string
  full: string
}

function buildShares(team: Team, disk: DiskSpace | null): Share[] {
  const { quota_bytes: quota, stored_bytes: stored } = team
  return [
    ...(quota === null
      ? []
      : [
          {
            name: 'Quota used:',
            text: `${formatBytes(Math.max(0, quota - stored))} of the team's quota of ${formatBytes(quota)} left`,
            ratio: quota === 0 ? 1 : stored / quota,
            nearlyFull: 'The team has used most of its quota.',
            full: 'The quota is nearly used up. Uploads that are larger than the remaining quota are refused.',
          },
        ]),
    ...(disk === null
      ? []
      : [
          {
            name: 'Server disk used:',
            text: `${formatBytes(disk.free)} of the server's disk of ${formatBytes(disk.total)} free`,
            ratio: 1 - disk.free / disk.total,
            nearlyFull: "The server's disk is filling up.",
            full: "The server's disk is nearly full. Uploads that are larger than the free space are refused.",
          },
        ]),
  ]
}

interface DiskSpace {
  free: number
  total: number
}

/** Return the server's disk space, or null if the store does not report it (S3). 503 responses contain it too. */
async function readDiskSpace(): Promise<DiskSpace | null> {
  const { data, error } = await api.GET('/readyz')
  const { free_bytes: free, total_bytes: total } = data ?? error ?? {}
  return typeof free === 'number' && typeof total === 'number' && total > 0 ? { free, total } : null
}
