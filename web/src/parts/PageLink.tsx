// A link to a view of the page, with the address checked by the compiler and the looks of a text link.

import { Anchor, type AnchorProps } from '@mantine/core'
import { createLink } from '@tanstack/react-router'
import type { AnchorHTMLAttributes, RefAttributes } from 'react'

type Props = AnchorProps &
  Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof AnchorProps> &
  RefAttributes<HTMLAnchorElement>

export const PageLink = createLink((props: Props) => <Anchor {...props} />)
