// The tags of the pictures that a model was trained on, apart from its trigger words, and collapsed.

import { Button } from '@mantine/core'
import { useState } from 'react'
import type { Model } from '@/api/types'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/facts/facts.module.css'

const FIRST = 5

export function TrainingTags({ model: { training_tags: tags } }: { model: Model }) {
  const [isWhole, setWhole] = useState(false)
  if (tags.length === 0) return null
  return (
    <Section title="Training tags" note="not trigger words">
      <details className={classes.details}>
        <summary>{tags.length === 1 ? '1 tag' : `${tags.length} tags`} of the training pictures</summary>
        <ul className={classes.shares} aria-label="Training tags">
          {(isWhole ? tags : tags.slice(0, FIRST)).map(({ text, share }) => (
            <li key={text}>
              <bdi title={text}>{text}</bdi>
              <meter min={0} max={1} value={share} aria-label={`Share of the pictures with ${text}`} />
              <span>{Math.round(share * 100)} %</span>
            </li>
          ))}
        </ul>
        {tags.length > FIRST && !isWhole && (
          <Button variant="subtle" size="compact-sm" onClick={() => setWhole(true)}>
            Show all {tags.length}
          </Button>
        )}
      </details>
    </Section>
  )
}
