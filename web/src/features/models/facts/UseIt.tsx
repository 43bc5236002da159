// How to use a model: its trigger words, the text for prompts, and its name in ComfyUI.

import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyLine } from '@/components/CopyLine'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/facts/facts.module.css'
import { getLoaderName, getPromptText, parseWeight } from '@/features/models/facts/promptText'
import { TriggerWords } from '@/features/models/facts/TriggerWords'

export function UseIt({ model }: { model: Model }) {
  const { mayChange } = usePermissions()
  const hint = model.details.usage_hint
  const prompt = getPromptText(model, parseWeight(hint))
  return (
    <Section title="Use it">
      <dl className={classes.use}>
        {(model.trigger_words.length > 0 || mayChange(model)) && (
          <>
            <dt>Trigger words</dt>
            <dd>
              <TriggerWords model={model} />
            </dd>
          </>
        )}
        {prompt && (
          <>
            <dt>Prompt text</dt>
            <dd>
              <CopyLine text={prompt} what="prompt text" />
            </dd>
          </>
        )}
        <dt>In ComfyUI</dt>
        <dd>
          <CopyLine text={getLoaderName(model)} what="file name" />
        </dd>
        {hint && (
          <>
            <dt>Weight</dt>
            <dd>
              <bdi>{hint}</bdi> <span className={classes.dimmed}>· from the file’s usage hint</span>
            </dd>
          </>
        )}
      </dl>
    </Section>
  )
}
