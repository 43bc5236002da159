// What all files of one upload are said to be: tags, the labels that a machine needs, a description. All of it optional.

import { Button, Collapse, Stack, Textarea } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react'
import { WordList } from '@/parts/WordList'
import type { Notes } from '@/uploading/asking'

const LABEL = /^[A-Za-z0-9._-]{1,64}$/

export function isFit(notes: Notes): boolean {
  return notes.requiredLabels.every((one) => LABEL.test(one))
}

export function ForAll({ notes, onChange }: { notes: Notes; onChange: (notes: Notes) => void }) {
  const [isOpen, { toggle }] = useDisclosure(false)
  const Icon = isOpen ? IconChevronDown : IconChevronRight
  const unfit = notes.requiredLabels.filter((one) => !LABEL.test(one))
  const error = unfit.length > 0 && `A label has letters, digits, dot, dash and underscore only: ${unfit.join(', ')}`
  return (
    <div>
      <Button
        variant="subtle"
        color="gray"
        size="compact-sm"
        aria-expanded={isOpen}
        leftSection={<Icon size={16} />}
        onClick={toggle}
      >
        Tags, labels, description
      </Button>
      <Collapse expanded={isOpen}>
        <Stack gap="xs" mt="xs" maw={640}>
          <WordList
            label="Tags"
            description="Press Enter after each"
            maxTags={64}
            maxLength={64}
            value={notes.tags}
            onChange={(tags) => onChange({ ...notes, tags })}
          />
          <WordList
            label="Required labels"
            description="Only machines with all of these labels get the models"
            maxTags={32}
            maxLength={64}
            error={error}
            value={notes.requiredLabels}
            onChange={(requiredLabels) => onChange({ ...notes, requiredLabels })}
          />
          <Textarea
            label="Description"
            autosize
            minRows={2}
            maxLength={10_000}
            value={notes.description}
            onChange={(event) => onChange({ ...notes, description: event.currentTarget.value })}
          />
        </Stack>
      </Collapse>
    </div>
  )
}
