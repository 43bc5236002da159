// The user's initials, which open a menu. The menu is loaded when it is first opened.

import { ActionIcon } from '@mantine/core'
import { lazy, Suspense, useRef, useState } from 'react'
import { useSession } from '@/api/session'
import classes from '@/app/shell.module.css'
import { useWasTrue } from '@/components/lazyOpening'
import { PersonInitials } from '@/components/PersonInitials'

const AccountItems = lazy(() => import('@/app/AccountItems').then(({ AccountItems }) => ({ default: AccountItems })))

export function AccountMenu() {
  const session = useSession()
  const [isOpened, setOpened] = useState(false)
  const wasOpened = useWasTrue(isOpened)
  const button = useRef<HTMLButtonElement>(null)
  if (session.state !== 'signed-in') return null
  return (
    <div className={classes.account}>
      <ActionIcon
        ref={button}
        variant="subtle"
        color="gray"
        size="lg"
        aria-label="Your account"
        aria-haspopup="menu"
        aria-expanded={isOpened}
        onClick={() => setOpened(!isOpened)}
      >
        <PersonInitials name={session.me.display_name} />
      </ActionIcon>
      <Suspense>
        {wasOpened && (
          <AccountItems me={session.me} button={button} isOpened={isOpened} onClose={() => setOpened(false)} />
        )}
      </Suspense>
    </div>
  )
}
