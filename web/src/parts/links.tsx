// Links to views of the page that look like buttons or texts; their addresses are checked as those of `Link` are.

import { Anchor, type AnchorProps, Button, type ButtonProps } from '@mantine/core'
import { createLink } from '@tanstack/react-router'
import type { AnchorHTMLAttributes, Ref } from 'react'

type OfAnchor<Props> = Props &
  Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof Props> & { ref?: Ref<HTMLAnchorElement> }

export const ButtonLink = createLink((props: OfAnchor<ButtonProps>) => <Button component="a" {...props} />)

export const AnchorLink = createLink((props: OfAnchor<AnchorProps>) => <Anchor {...props} />)
