// Builds the page into the Python package that serves it.

import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const BUILT = '../src/modelyard/server/page/built'
const LICENSES = 'licenses.md'
// The packages whose code is in a worker: Vite lists those of the page only.
const WORKER_PACKAGES = ['hash-wasm']
const BEST = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }

export default defineConfig({
  plugins: [react(), workerLicenses(), compressed()],
  resolve: { alias: { '@': join(import.meta.dirname, 'src') } },
  // The server puts one of its own in for each answer.
  html: { cspNonce: '__NONCE__' },
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    // The licences of the packages that the page contains require that their texts are distributed with it.
    license: { fileName: LICENSES },
    // A data: address for a script or a style would need a weaker policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    // One chunk for what every view needs, and one for the list of models, the view that people open first. Without these
    // groups the list loads some 50 chunks, one for each icon and hook that another view uses as well.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'base', tags: ['$initial'], priority: 2 },
            { name: 'models', test: /src.features.models.Models\.tsx$/, priority: 1 },
          ],
        },
      },
    },
  },
  worker: { format: 'es' },
  // `npx vite` beside a registry of `make run`.
  server: {
    proxy: { '/api': 'http://127.0.0.1:8400', '/blobs': 'http://127.0.0.1:8400', '/readyz': 'http://127.0.0.1:8400' },
  },
})

/** Adds the licences of the packages in workers to those of the page. */
function workerLicenses(): Plugin {
  return {
    name: 'worker-licenses',
    apply: 'build',
    closeBundle() {
      for (const name of WORKER_PACKAGES) {
        const folder = join(import.meta.dirname, 'node_modules', name)
        const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
        const text = readFileSync(join(folder, 'LICENSE'), 'utf8')
        appendFileSync(join(import.meta.dirname, BUILT, LICENSES), `\n## ${name} - ${version} (${license})\n\n${text}`)
      }
    },
  }
}

/** Writes .br and .gz beside each file that they make smaller: the server compresses nothing itself. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    closeBundle() {
      const folder = join(import.meta.dirname, BUILT, 'assets')
      for (const name of readdirSync(folder).filter((file) => /\.(js|css|svg|wasm)$/.test(file))) {
        const bytes = readFileSync(join(folder, name))
        const packed = { gz: gzipSync(bytes, { level: 9 }), br: brotliCompressSync(bytes, BEST) }
        for (const [ending, smaller] of Object.entries(packed)) {
          if (smaller.length < bytes.length) writeFileSync(join(folder, `${name}.${ending}`), smaller)
        }
      }
    },
  }
}
