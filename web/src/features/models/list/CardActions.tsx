// What a card offers while the pointer or the focus is on it: send, download, and a menu.

import { IconDots, IconDownload, IconSend } from '@tabler/icons-react'
import { lazy, Suspense, useRef, useState } from 'react'
import type { Model } from '@/api/types'
import { useWasTrue } from '@/components/lazyOpening'
import { notifyError } from '@/components/notify'
import classes from '@/features/models/list/gallery.module.css'
import { download } from '@/features/models/mutations'

const MoreMenu = lazy(() => import('@/features/models/list/MoreMenu').then(({ MoreMenu }) => ({ default: MoreMenu })))

interface CardActionsProps {
  model: Model
  mayChange: boolean
  tabIndex: number
  onSend: ((models: Model[]) => void) | undefined
}

export function CardActions({ model, mayChange, tabIndex, onSend }: CardActionsProps) {
  const [isOpened, setOpened] = useState(false)
  const wasOpened = useWasTrue(isOpened)
  const moreButton = useRef<HTMLButtonElement>(null)
  const shared = { type: 'button', className: classes.action, tabIndex } as const
  const name = model.display_name
  return (
    <div className={classes.actions} data-opened={isOpened || undefined}>
      {onSend && (
        <button {...shared} aria-label={`Send ${name} to…`} title="Send to…" onClick={() => onSend([model])}>
          <IconSend size={16} stroke={1.75} aria-hidden />
        </button>
      )}
      {model.verification === 'verified' && !model.is_folder && (
        <button
          {...shared}
          aria-label={`Download ${name}`}
          title="Download"
          onClick={() => void download(model).catch(notifyError)}
        >
          <IconDownload size={16} stroke={1.75} aria-hidden />
        </button>
      )}
      <button
        {...shared}
        ref={moreButton}
        aria-label={`More actions for ${name}`}
        title="More"
        aria-haspopup="menu"
        aria-expanded={isOpened}
        onClick={() => setOpened(!isOpened)}
      >
        <IconDots size={16} stroke={1.75} aria-hidden />
      </button>
      {/* The menu is mounted only when it is needed: there are hundreds of cards. */}
      <Suspense>
        {wasOpened && (
          <MoreMenu
            model={model}
            mayChange={mayChange}
            button={moreButton}
            isOpened={isOpened}
            onClose={() => setOpened(false)}
          />
        )}
      </Suspense>
    </div>
  )
}
