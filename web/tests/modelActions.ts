// The menu of a model, on its page and in its details.

import type { Page } from '@playwright/test'

/** Choose an action of the model that is shown. */
export async function chooseModelAction(page: Page, action: 'Edit' | 'Disable' | 'Enable' | 'Delete'): Promise<void> {
  await page.getByRole('button', { name: 'More actions', exact: true }).click()
  await page.getByRole('menuitem', { name: action, exact: true }).click()
}
