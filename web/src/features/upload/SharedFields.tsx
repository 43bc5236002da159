// Optional details for all files of an upload: tags, required labels, description.

import { Button, Collapse, Stack, Textarea } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react'
import { isReadableName } from '@/api/names'
import { TagsField } from '@/components/TagsField'
import type { SharedDetails } from '@/features/upload/engine/requests'
import {
  LABEL_PATTERN,
  MAX_DESCRIPTION_LENGTH,
  MAX_LABEL_LENGTH,
  MAX_LABELS,
  MAX_TAG_LENGTH,
  MAX_TAGS,
} from '@/generated/fieldLimits'

const LABEL = new RegExp(LABEL_PATTERN)

export function areDetailsValid({ tags, requiredLabels }: SharedDetails): boolean {
  return tags.every(isReadableName) && requiredLabels.every((one) => LABEL.test(one))
}

export function SharedFields({ notes, onChange }: { notes: SharedDetails; onChange: (notes: SharedDetails) => void }) {
  const [isOpen, { toggle }] = useDisclosure(false)
  const Icon = isOpen ? IconChevronDown : IconChevronRight
  const invalid = notes.requiredLabels.filter((one) => !LABEL.test(one))
  const error =
    invalid.length > 0 && `Labels may contain only letters, digits, dots, dashes and underscores: ${invalid.join(', ')}`
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
          <TagsField
            label="Tags"
            description="Press Enter after each"
            maxTags={MAX_TAGS}
            maxLength={MAX_TAG_LENGTH}
            error={!notes.tags.every(isReadableName) && 'Tags need a visible character, and no control characters.'}
            value={notes.tags}
            onChange={(tags) => onChange({ ...notes, tags })}
          />
          <TagsField
            label="Required labels"
            description="Only machines with all of these labels get the models"
            maxTags={MAX_LABELS}
            maxLength={MAX_LABEL_LENGTH}
            error={error}
            value={notes.requiredLabels}
            onChange={(requiredLabels) => onChange({ ...notes, requiredLabels })}
          />
          <Textarea
            label="Description"
            autosize
            minRows={2}
            maxLength={MAX_DESCRIPTION_LENGTH}
            value={notes.description}
            onChange={(event) => onChange({ ...notes, description: event.currentTarget.value })}
          />
        </Stack>
      </Collapse>
    </div>
  )
}
