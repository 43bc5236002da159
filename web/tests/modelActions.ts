// The menu of a model, on its page and in its details, and what its fields offer.

import type { Locator, Page } from '@playwright/test'

/** Choose an action of the model that is shown. */
export async function chooseModelAction(page: Page, action: 'Edit' | 'Disable' | 'Enable' | 'Delete'): Promise<void> {
  await page.getByRole('button', { name: 'More actions', exact: true }).click()
  await page.getByRole('menuitem', { name: action, exact: true }).click()
}

/** Return the values that a field offers in the browser's own list. */
export function listOffered(field: Locator): Promise<string[]> {
  return field.evaluate(({ list }: HTMLInputElement) => [...(list?.options ?? [])].map(({ value }) => value))
}
