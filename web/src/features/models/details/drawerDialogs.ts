// Dialogs above the drawer of the details: while one is open, Escape closes it and not the drawer.

import { createContext, useContext, useEffect } from 'react'

/** Tells the drawer whether a dialog is open above it. */
export const DrawerDialogContext = createContext<(isOpen: boolean) => void>(() => {})

/** Keep the drawer open while a dialog above it is open. */
export function useDrawerDialog(isOpen: boolean): void {
  const tell = useContext(DrawerDialogContext)
  useEffect(() => {
    tell(isOpen)
    return () => tell(false)
  }, [tell, isOpen])
}
