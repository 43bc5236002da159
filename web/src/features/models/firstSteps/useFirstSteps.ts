// The steps that the user may do, which of them are done, and the next one. Polled until all are done.

import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { queryClient } from '@/api/queryClient'
import { notify } from '@/components/notify'
import {
  areStepsClosed,
  closeSteps,
  readConditions,
  STEPS,
  type Step,
  type StepConditions,
} from '@/features/models/firstSteps/steps'

const POLL_MILLISECONDS = 15_000
const QUERY_KEY = ['first-steps']

export interface FirstStepsState {
  steps: (Step & { isDone: boolean })[]
  next: Step
  dismiss: () => void
}

/** Return nothing once the steps are finished or dismissed, and for people who may not upload. */
export function useFirstSteps(): FirstStepsState | 'loading' | undefined {
  const { may } = usePermissions()
  const [isClosed, setClosed] = useState(areStepsClosed)
  const isFor = may('models_upload')
  const { data: conditions } = useQuery({
    queryKey: QUERY_KEY,
    queryFn: ({ signal }) => readConditions(queryClient.getQueryData<StepConditions>(QUERY_KEY), may('invite'), signal),
    enabled: isFor && !isClosed,
    staleTime: 0,
    refetchInterval: POLL_MILLISECONDS,
  })
  const wasOpen = useRef(false)
  const dismiss = () => {
    closeSteps()
    setClosed(true)
  }
  const steps = STEPS.filter(({ needs }) => may(needs)).map((step) => ({
    ...step,
    isDone: conditions?.[step.condition] ?? false,
  }))
  const next = steps.find(({ isDone }) => !isDone)
  const isFinished = conditions !== undefined && next === undefined
  useEffect(() => {
    if (conditions && !isFinished) wasOpen.current = true
    if (!isFinished) return
    // For good: a machine that is removed later does not bring the steps back.
    closeSteps()
    setClosed(true)
    if (wasOpen.current) notify('All first steps are done.')
  }, [conditions, isFinished])
  if (!isFor || isClosed || isFinished) return undefined
  return conditions && next ? { steps, next, dismiss } : 'loading'
}
