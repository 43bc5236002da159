// What a view shows instead of its content: nothing yet, nothing at all, a failure, a refusal; and above it, that it is old.

import { Alert, Button, Center, Group, Loader, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { asProblem } from '@/api/problem'

export function Loading({ what = 'Loading' }: { what?: string }) {
  return (
    <Center p="xl">
      <Loader aria-label={what} role="status" />
    </Center>
  )
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Center p="xl">
      <Stack align="center" gap="xs" maw={480}>
        <Title order={2} size="h3" ta="center">
          {title}
        </Title>
        <Text component="div" c="dimmed" ta="center">
          {children}
        </Text>
      </Stack>
    </Center>
  )
}

/** What did not work, in the registry's words, and a way to try again. */
export function Failed({ error, again }: { error: unknown; again?: () => void }) {
  const problem = asProblem(error)
  if (problem.status === 403) return <Empty title={problem.title}>{problem.message}</Empty>
  return (
    <Alert color="red" title={problem.title} role="alert" m="md">
      <Stack align="flex-start" gap="sm">
        <Text size="sm">{problem.message}</Text>
        {again && (
          <Button size="compact-sm" variant="default" onClick={again}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  )
}

/** Above what was shown before it could not be asked for again; without `again` the view asks by itself. */
export function MayBeOld({ error, again }: { error: unknown; again?: () => void }) {
  return (
    <Alert color="orange" mb="sm" role="status">
      <Group gap="sm">
        <Text size="sm">
          {asProblem(error).title}. What is shown may be old{again ? '.' : '; it is asked again by itself.'}
        </Text>
        {again && (
          <Button size="compact-sm" variant="default" onClick={again}>
            Try again
          </Button>
        )}
      </Group>
    </Alert>
  )
}
