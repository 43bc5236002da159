// How much room the registry itself has: the team's quota, and the disk of the server where the store can tell.

import { Alert, Group, Paper, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { api } from '@/api/client'
import type { Team } from '@/api/types'
import { useTeam } from '@/api/useTeam'
import { bytes } from '@/parts/words'
import { Fill, isFull, isNearlyFull } from '@/views/machines/Disk'

const LOOK_MILLISECONDS = 30_000
const often = { refetchInterval: LOOK_MILLISECONDS, staleTime: LOOK_MILLISECONDS } as const

export function Room() {
  const team = useTeam(often)
  const room = useQuery({ queryKey: ['room'], queryFn: readRoom, ...often })
  // Beside the machines this is small print: what cannot be had now is left out.
  if (!team.data) return null
  const shares = sharesOf(team.data, room.data ?? null)
  return (
    <Paper withBorder p="sm" mb="md" component="section" aria-label="Room of the registry">
      <Stack gap="xs">
        <Group gap="xl">
          <Text size="sm">
            The registry stores{' '}
            <Text span fw={600}>
              {bytes(team.data.stored_bytes)}
            </Text>{' '}
            for this team
          </Text>
          {shares.map((share) => (
            <Stack key={share.name} gap={4} miw={200} flex="1 1 200px" maw={360}>
              <Text size="sm">{share.words}</Text>
              <Fill part={share.part} label={share.name} />
            </Stack>
          ))}
        </Group>
        {shares
          .filter((share) => isNearlyFull(share.part))
          .map((share) => (
            <Alert key={share.name} color={isFull(share.part) ? 'red' : 'orange'} role="status" p="xs">
              <Text size="sm">{isFull(share.part) ? share.full : share.nearlyFull}</Text>
            </Alert>
          ))}
      </Stack>
    </Paper>
  )
}

interface Share {
  name: string
  words: string
  part: number
  nearlyFull: string
  full: string
}

function sharesOf(team: Team, room: ServerRoom | null): Share[] {
  const { quota_bytes: quota, stored_bytes: stored } = team
  return [
    ...(quota === null
      ? []
      : [
          {
            name: 'Of the quota, the team uses',
            words: `${bytes(Math.max(0, quota - stored))} of the team's quota of ${bytes(quota)} left`,
            part: quota === 0 ? 1 : stored / quota,
            nearlyFull: 'The team has used most of its quota.',
            full: 'The quota is nearly used up: uploads that do not fit in what is left are refused.',
          },
        ]),
    ...(room === null
      ? []
      : [
          {
            name: "Of the server's disk, this much is in use:",
            words: `${bytes(room.free)} of the server's disk of ${bytes(room.whole)} free`,
            part: 1 - room.free / room.whole,
            nearlyFull: "The server's disk fills up.",
            full: "The server's disk is nearly full: uploads that do not fit in what is free are refused.",
          },
        ]),
  ]
}

interface ServerRoom {
  free: number
  whole: number
}

/** Null where the store cannot tell, as S3. A registry that is not ready says what it knows all the same. */
async function readRoom(): Promise<ServerRoom | null> {
  const { data, error } = await api.GET('/readyz')
  const { free_bytes: free, whole_bytes: whole } = data ?? error ?? {}
  return typeof free === 'number' && whole ? { free, whole } : null
}
