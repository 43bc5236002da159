// Starts the page: styles, the theme, the session, the views.

import '@/app/styles.css'
import '@/app/page.css'

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { start } from '@/api/session'
import { App } from '@/app/App'
import { need } from '@/parts/Notices'

const AFTER_MILLISECONDS = 3_000

// Once the first view has come: what says that the registry is away cannot be fetched then.
void start().finally(() => setTimeout(() => void need().catch(() => {}), AFTER_MILLISECONDS))

const place = document.getElementById('page')
if (place) {
  createRoot(place).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
