// Shows the view to signed-in people, and the sign-in form to all others. The address does not change.

import { Button, Center, Loader, Stack, Text } from '@mantine/core'
import { lazy, type ReactNode, Suspense, useEffect } from 'react'
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

const RETRY_MILLISECONDS = 5_000

function Unreachable() {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let isEnded = false
    const wait = () => {
      if (!isEnded) timer = setTimeout(() => void resumeSession().finally(wait), RETRY_MILLISECONDS)
    }
    wait()
    return () => {
      isEnded = true
      clearTimeout(timer)
    }
  }, [])
  return (
    <Center component="main" h="100vh">
      <Stack align="center">
        <Text role="status">The registry does not answer. Trying again every few seconds.</Text>
        <Button onClick={() => void resumeSession()}>Retry now</Button>
      </Stack>
    </Center>
  )
}
