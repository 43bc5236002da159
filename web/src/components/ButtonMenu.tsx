// The menu of a button that is shown before the menu is loaded.

import { Menu } from '@mantine/core'
import { type ReactNode, type Ref, type RefObject, useImperativeHandle } from 'react'
import { useOpenedOnceMounted } from '@/components/lazyOpening'

interface ButtonMenuProps {
  button: RefObject<HTMLElement | null>
  isOpened: boolean
  onClose: () => void
  /** The dropdown. */
  children: ReactNode
}

export function ButtonMenu({ button, isOpened, onClose, children }: ButtonMenuProps) {
  const opened = useOpenedOnceMounted(isOpened)
  return (
    <Menu opened={opened} onClose={onClose} position="bottom-end">
      <Menu.Target>
        <Target button={button} />
      </Menu.Target>
      {children}
    </Menu>
  )
}

/** Makes the button the target: a click on it is not one outside of the menu, so that it can close the menu itself. */
function Target({ button, ref }: Pick<ButtonMenuProps, 'button'> & { ref?: Ref<HTMLElement> }) {
  useImperativeHandle(ref, () => button.current as HTMLElement, [button])
  return null
}
