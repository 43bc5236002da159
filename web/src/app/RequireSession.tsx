// Shows the view to signed-in people, and the sign-in form to all others. The address does not change.

import { Button, Center, Loader, Stack, Text } from '@mantine/core'
import { lazy, type ReactNode, Suspense } from 'react'
import { resumeSession, useSession } from '@/api/session'

// Loaded on demand, because most visitors are already signed in.
const SignIn = lazy(() => import('@/features/signin/SignIn').then((view) => ({ default: view.SignIn })))

export function RequireSession({ children }: { children: ReactNode }) {
  const session = useSession()
  if (session.state === 'signed-out') {
    return (
      <Suspense fallback={<Starting />}>
        <SignIn />
      </Suspense>
    )
  }
  if (session.state === 'unreachable') return <Unreachable />
  if (session.state === 'starting') return <Starting />
  return children
}

function Starting() {
  return (
    <Center h="100vh">
      <Loader aria-label="Starting" />
    </Center>
  )
}

function Unreachable() {
  return (
    <Center component="main" h="100vh">
      <Stack align="center">
        <Text>The registry is not responding.</Text>
        <Button onClick={() => void resumeSession()}>Retry</Button>
      </Stack>
    </Center>
  )
}
