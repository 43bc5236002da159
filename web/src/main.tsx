// Starts the page: styles, session and root component.

import '@/app/styles.css'
import '@/app/page.css'

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { watchRequests } from '@/api/outage'
import { startSession } from '@/api/session'
import { App } from '@/app/App'
import { ignoreDrops } from '@/app/ignoreDrops'
import { loadNotifications } from '@/components/Notices'

const AFTER_MILLISECONDS = 3_000

// Load notices after the first view: they cannot be loaded once the registry is unreachable.
void startSession().finally(() => setTimeout(() => void loadNotifications().catch(() => {}), AFTER_MILLISECONDS))

watchRequests()
ignoreDrops()

const place = document.getElementById('page')
if (place) {
  createRoot(place).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
