// The tab at the bottom of narrow screens that opens a menu of the other views, which is loaded when it is first opened.

import { UnstyledButton } from '@mantine/core'
import { IconDots } from '@tabler/icons-react'
import { useLocation } from '@tanstack/react-router'
import { lazy, Suspense, useRef, useState } from 'react'
import type { MoreItemsProps } from '@/app/MoreItems'
import classes from '@/app/shell.module.css'
import { isWithin } from '@/app/views'
import { useWasTrue } from '@/components/lazyOpening'

const MoreItems = lazy(() => import('@/app/MoreItems').then(({ MoreItems }) => ({ default: MoreItems })))

export function MoreViews({ views }: Pick<MoreItemsProps, 'views'>) {
  const { pathname } = useLocation()
  const [isOpened, setOpened] = useState(false)
  const wasOpened = useWasTrue(isOpened)
  const button = useRef<HTMLButtonElement>(null)
  const isCurrent = views.some((view) => isWithin(pathname, view))
  return (
    <>
      <UnstyledButton
        ref={button}
        className={classes.tab ?? ''}
        aria-haspopup="menu"
        aria-expanded={isOpened}
        aria-current={isCurrent || undefined}
        onClick={() => setOpened(!isOpened)}
      >
        <IconDots size={20} stroke={1.75} aria-hidden />
        More
      </UnstyledButton>
      <Suspense>
        {wasOpened && <MoreItems views={views} button={button} isOpened={isOpened} onClose={() => setOpened(false)} />}
      </Suspense>
    </>
  )
}
