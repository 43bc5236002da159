// Lets members in. Everybody else sees the sign-in where the view would be; the address stays what it was.

import { Button, Center, Loader, Stack, Text } from '@mantine/core'
import { lazy, type ReactNode, Suspense } from 'react'
import { resume, useSession } from '@/api/session'

// Most who come are signed in already.
const SignIn = lazy(() => import('@/views/signin/SignIn').then((view) => ({ default: view.SignIn })))

export function Gate({ children }: { children: ReactNode }) {
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
        <Text>The registry does not answer.</Text>
        <Button onClick={() => void resume()}>Try again</Button>
      </Stack>
    </Center>
  )
}
