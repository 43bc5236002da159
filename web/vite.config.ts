// Builds the page into the Python package that serves it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const BUILT = '../src/modelyard/server/page/built'
const BEST = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }

export default defineConfig({
  plugins: [react(), compressed()],
  resolve: { alias: { '@': join(import.meta.dirname, 'src') } },
  // The server puts one of its own in for each answer.
  html: { cspNonce: '__NONCE__' },
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    // A data: address for a script or a style would need a weaker policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  worker: { format: 'es' },
  // `npx vite` beside a registry of `make run`.
  server: {
    proxy: { '/api': 'http://127.0.0.1:8400', '/blobs': 'http://127.0.0.1:8400', '/readyz': 'http://127.0.0.1:8400' },
  },
})

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
