// The first steps above the list, until all are done or they are dismissed.

import { CloseButton } from '@mantine/core'
import { ButtonLink } from '@/components/links'
import classes from '@/features/models/firstSteps/firstSteps.module.css'
import { StepMark } from '@/features/models/firstSteps/StepMark'
import { StepsPlace } from '@/features/models/firstSteps/StepsPlace'
import { useFirstSteps } from '@/features/models/firstSteps/useFirstSteps'

export function StepsBar() {
  const state = useFirstSteps()
  if (!state) return null
  if (state === 'loading') return <StepsPlace />
  const { steps, next, dismiss } = state
  return (
    <section className={classes.bar} aria-label="First steps">
      <b className={classes.title}>First steps</b>
      <ol className={classes.inline}>
        {steps.map((step) => (
          <li
            key={step.label}
            className={classes.item}
            title={step.detail}
            aria-current={step.condition === next.condition ? 'step' : undefined}
          >
            <StepMark isDone={step.isDone} />
            {step.label}
          </li>
        ))}
      </ol>
      <ButtonLink to={next.to} size="compact-sm">
        {next.button}
      </ButtonLink>
      <CloseButton size="sm" aria-label="Dismiss first steps" className={classes.dismiss} onClick={dismiss} />
    </section>
  )
}
