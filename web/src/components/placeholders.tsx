// What a view shows in place of its content (loading, empty, error), and a notice above outdated content.

import { Alert, Button, Center, Group, Loader, Stack, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { asProblem } from '@/api/problem'

export function Loading({ label = 'Loading' }: { label?: string }) {
  return (
    <Center p="xl">
      <Loader aria-label={label} role="status" />
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

/** A load error with the registry's text and a retry button. */
export function LoadError({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = asProblem(error)
  if (problem.status === 403) return <Empty title={problem.title}>{problem.message}</Empty>
  return (
    <Alert color="red" title={problem.title} role="alert" m="md">
      <Stack align="flex-start" gap="sm">
        <Text size="sm">{problem.message}</Text>
        {onRetry && (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            Retry
          </Button>
        )}
      </Stack>
    </Alert>
  )
}

/** A notice above outdated content; without `onRetry` the view refreshes automatically. */
export function StaleDataNotice({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  return (
    <Alert color="orange" mb="sm" role="status">
      <Group gap="sm">
        <Text size="sm">
          {asProblem(error).title}. The data may be out of date{onRetry ? '.' : '; it is refreshed automatically.'}
        </Text>
        {onRetry && (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            Retry
          </Button>
        )}
      </Group>
    </Alert>
  )
}
