// An element of the ARIA grid. Table elements cannot be virtualised, so roles are used.

import type { ComponentProps } from 'react'

type Role = 'grid' | 'row' | 'columnheader' | 'rowheader' | 'gridcell'

export function GridElement(shown: ComponentProps<'div'> & { role: Role }) {
  return <div {...shown} />
}
