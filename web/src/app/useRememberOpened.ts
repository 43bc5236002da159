// Remembers which models and machines are opened, by their addresses.

import { useLocation } from '@tanstack/react-router'
import { useEffect } from 'react'
import { rememberOpened } from '@/components/opened'

export function useRememberOpened(): void {
  const { pathname, search } = useLocation()
  const { model, machine } = search as { model?: string; machine?: string }
  const page = /^\/models\/([^/]+)$/.exec(pathname)?.[1]
  const modelId = pathname === '/models' ? model : page
  const machineId = pathname === '/machines' ? machine : undefined
  useEffect(() => {
    if (modelId) rememberOpened({ kind: 'model', id: modelId })
    if (machineId) rememberOpened({ kind: 'machine', id: machineId })
  }, [modelId, machineId])
}
