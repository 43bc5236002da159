// One field for everything: models, machines, collections, people and actions (Ctrl-K).

import { Combobox, Modal, useCombobox } from '@mantine/core'
import { IconListDetails, IconSearch, IconServer2 } from '@tabler/icons-react'
import { useRouter } from '@tanstack/react-router'
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react'
import { useOpenedOnceMounted } from '@/components/lazyOpening'
import { ModelPicture } from '@/components/ModelPicture'
import { PersonInitials } from '@/components/PersonInitials'
import type { PaletteItem } from '@/features/palette/items'
import classes from '@/features/palette/palette.module.css'
import { usePaletteGroups } from '@/features/palette/usePaletteGroups'
import { MAX_SEARCH_LENGTH } from '@/generated/fieldLimits'

interface PaletteProps {
  isOpen: boolean
  onClose: () => void
  showKeys: () => void
}

export function Palette({ isOpen, onClose, showKeys }: PaletteProps) {
  return (
    <Modal
      opened={useOpenedOnceMounted(isOpen)}
      onClose={onClose}
      withCloseButton={false}
      size={640}
      padding={0}
      yOffset={80}
      radius="md"
      transitionProps={{ duration: 0 }}
      attributes={{ content: { 'aria-label': 'Jump to' } }}
    >
      <PaletteField onClose={onClose} showKeys={showKeys} />
    </Modal>
  )
}

function PaletteField({ onClose, showKeys }: Omit<PaletteProps, 'isOpen'>) {
  const router = useRouter()
  const combobox = useCombobox({ opened: true })
  const [activeId, setActiveId] = useState<string>()
  const [typed, setTyped] = useState('')
  const groups = usePaletteGroups(typed.trim(), showKeys)
  const isNewTab = useRef(false)
  const shown = groups?.flatMap(({ items }) => items) ?? []
  const ids = shown.map(({ id }) => id).join('\n')
  const listId = useId()
  const movedTo = useRef<string>(undefined)
  const updateActive = () => setActiveId(findSelectedOption(listId))
  // biome-ignore lint/correctness/useExhaustiveDependencies: for each list anew.
  useEffect(() => {
    const place = shown.findIndex(({ id }) => id === movedTo.current)
    combobox.selectOption(Math.max(0, place))
    updateActive()
  }, [ids, typed])
  const choose = (id: string) => {
    const item = shown.find((one) => one.id === id)
    const opensTab = isNewTab.current
    isNewTab.current = false
    if (!item) return
    if (item.href && opensTab) {
      window.open(item.href, '_blank', 'noopener')
      return
    }
    onClose()
    if (item.href) void router.navigate({ href: item.href })
    else item.run?.()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    isNewTab.current = event.key === 'Enter' && (event.ctrlKey || event.metaKey)
  }
  const onKeyUp = ({ key }: KeyboardEvent) => {
    isNewTab.current = false
    // The entry stays selected if the list changes before other letters are typed.
    if (key === 'ArrowUp' || key === 'ArrowDown') movedTo.current = shown[combobox.getSelectedOptionIndex()]?.id
    updateActive()
  }
  return (
    <Combobox store={combobox} onOptionSubmit={choose}>
      <div className={classes.top}>
        <IconSearch size={16} stroke={1.75} aria-hidden />
        <Combobox.EventsTarget withAriaAttributes={false}>
          <input
            className={classes.input}
            data-autofocus
            role="combobox"
            aria-expanded
            aria-controls={listId}
            aria-activedescendant={activeId}
            autoComplete="off"
            aria-label="Jump to a model, machine, person or action"
            placeholder="Jump to…"
            maxLength={MAX_SEARCH_LENGTH}
            value={typed}
            onChange={(event) => {
              movedTo.current = undefined
              setTyped(event.currentTarget.value)
            }}
            onKeyDown={onKeyDown}
            onKeyUp={onKeyUp}
          />
        </Combobox.EventsTarget>
        <kbd className={classes.key}>esc</kbd>
      </div>
      <Combobox.Options id={listId} className={classes.options} aria-label="Results">
        {groups?.map(({ title, items }) => (
          <Combobox.Group key={title} label={title} classNames={{ groupLabel: classes.title ?? '' }}>
            {items.map((item) => (
              <Combobox.Option key={item.id} value={item.id} className={classes.option}>
                <span className={classes.icon}>
                  <ItemIcon item={item} />
                </span>
                <span className={classes.text}>
                  <bdi className={classes.label}>{item.label}</bdi>
                  {item.detail && <bdi className={classes.detail}>{item.detail}</bdi>}
                </span>
              </Combobox.Option>
            ))}
          </Combobox.Group>
        ))}
        {groups && shown.length === 0 && <Combobox.Empty>Nothing matches.</Combobox.Empty>}
      </Combobox.Options>
      <div className={classes.foot} aria-hidden>
        <span>
          <kbd className={classes.key}>↑</kbd> <kbd className={classes.key}>↓</kbd> move
        </span>
        <span>
          <kbd className={classes.key}>↵</kbd> open
        </span>
        <span>
          <kbd className={classes.key}>Ctrl</kbd> <kbd className={classes.key}>↵</kbd> open in new tab
        </span>
      </div>
    </Combobox>
  )
}

function findSelectedOption(listId: string): string | undefined {
  return document.getElementById(listId)?.querySelector('[data-combobox-selected]')?.id
}

function ItemIcon({ item }: { item: PaletteItem }) {
  if (item.kind === 'model') return <ModelPicture model={item.model} isSmall isEager />
  if (item.kind === 'machine') return <IconServer2 size={16} stroke={1.75} aria-hidden />
  if (item.kind === 'collection') return <IconListDetails size={16} stroke={1.75} aria-hidden />
  if (item.kind === 'person') return <PersonInitials name={item.label} />
  return <item.icon size={16} stroke={1.75} aria-hidden />
}
