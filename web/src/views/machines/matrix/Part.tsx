// A part of the grid that its role names. Elements of a table cannot be left out where nobody sees them.

import type { ComponentProps } from 'react'

type Role = 'grid' | 'row' | 'columnheader' | 'rowheader' | 'gridcell'

export function Part(shown: ComponentProps<'div'> & { role: Role }) {
  return <div {...shown} />
}
