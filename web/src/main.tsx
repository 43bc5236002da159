// Starts the page: styles, the theme, the session, the views.

import '@/app/styles.css'
import '@/app/page.css'

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { start } from '@/api/session'
import { App } from '@/app/App'

void start()

const place = document.getElementById('page')
if (place) {
  createRoot(place).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
