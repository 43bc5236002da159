// Opens the palette: a box in the header, an icon where it is narrow, and Ctrl-K anywhere. `?` shows the keys.

import { ActionIcon, UnstyledButton } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconSearch } from '@tabler/icons-react'
import { lazy, Suspense, useEffect } from 'react'
import classes from '@/app/shell.module.css'
import { isCharacterKey } from '@/components/characterKeys'
import { useWasTrue } from '@/components/lazyOpening'

const Palette = lazy(() => import('@/features/palette/Palette').then(({ Palette }) => ({ default: Palette })))
const KeyHelp = lazy(() => import('@/features/palette/KeyHelp').then(({ KeyHelp }) => ({ default: KeyHelp })))

const IS_MAC = navigator.userAgent.includes('Mac')

export function JumpBox() {
  const [isOpen, palette] = useDisclosure(false)
  const [isHelpOpen, help] = useDisclosure(false)
  const wasOpen = useWasTrue(isOpen)
  const wasHelpOpen = useWasTrue(isHelpOpen)
  const { toggle } = palette
  const { open: openHelp } = help
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isJump = event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey)
      if (isJump && !event.shiftKey && !event.altKey) {
        event.preventDefault()
        // The key is held down.
        if (!event.repeat) toggle()
      } else if (isCharacterKey(event, '?')) openHelp()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [toggle, openHelp])
  return (
    <>
      <UnstyledButton className={classes.jump} onClick={palette.open} aria-keyshortcuts="Control+K Meta+K">
        <IconSearch size={14} aria-hidden />
        <span>Jump to…</span>
        <kbd className={classes.key} aria-hidden>
          {IS_MAC ? '⌘K' : 'Ctrl K'}
        </kbd>
      </UnstyledButton>
      <ActionIcon
        className={classes.narrowOnly}
        variant="subtle"
        color="gray"
        size="lg"
        aria-label="Jump to…"
        onClick={palette.open}
      >
        <IconSearch size={20} stroke={1.75} />
      </ActionIcon>
      <Suspense>
        {wasOpen && <Palette isOpen={isOpen} onClose={palette.close} showKeys={openHelp} />}
        {wasHelpOpen && <KeyHelp isOpen={isHelpOpen} onClose={help.close} />}
      </Suspense>
    </>
  )
}
