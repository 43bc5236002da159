// Router links that look like buttons or text; their targets are type-checked like those of `Link`.

import { ActionIcon, type ActionIconProps, Anchor, type AnchorProps, Button, type ButtonProps } from '@mantine/core'
import { createLink } from '@tanstack/react-router'
import type { AnchorHTMLAttributes, Ref } from 'react'

type OfAnchor<Props> = Props &
  Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof Props> & { ref?: Ref<HTMLAnchorElement> }

export const ButtonLink = createLink((props: OfAnchor<ButtonProps>) => <Button component="a" {...props} />)

export const AnchorLink = createLink((props: OfAnchor<AnchorProps>) => <Anchor {...props} />)

export const IconLinkTo = createLink((props: OfAnchor<ActionIconProps>) => (
  <ActionIcon component="a" variant="subtle" color="gray" {...props} />
))
