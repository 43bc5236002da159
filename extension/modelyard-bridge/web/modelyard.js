// Entry of the extension in ComfyUI's page: registers the sidebar tab and the hooks. ComfyUI imports every .js file of
// this folder by itself, so everything else is in .mjs files.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { Downloads } from './downloads.mjs'
import { addStyles } from './elements.mjs'
import { SidebarTab } from './sidebar_tab.mjs'
import { WorkflowModels } from './workflow_models.mjs'

const downloads = new Downloads(app)
const workflow = new WorkflowModels(app, downloads)
const tab = new SidebarTab(app, workflow, downloads)

app.registerExtension({
  name: 'modelyard.bridge',
  setup() {
    addStyles(new URL('./modelyard.css', import.meta.url).href)
    tab.register()
    api.addEventListener('graphChanged', () => workflow.scanSoon())
  },
  afterConfigureGraph() {
    workflow.reset()
  },
})
