// Folders that are one model: their files, and their upload and registration by the public API.

import { hashFile, uploadFile } from './modelFiles'
import type { Registry } from './registry'

/** Upload the files and the manifest of a folder, and register it as one model, or as its next version; return its id. */
export async function registerFolder(
  registry: Registry,
  model_path: string,
  files: Record<string, Buffer>,
  replaces?: string,
): Promise<string> {
  const paths = Object.keys(files).sort()
  const entries = paths.map((path) => {
    const bytes = files[path] as Buffer
    return { path, sha256: hashFile(bytes).replace('sha256:', ''), size: bytes.length }
  })
  const manifest = Buffer.from(JSON.stringify({ files: entries, v: 1 }))
  const file_list: { path: string; storage_key: string }[] = []
  for (const path of paths) {
    const storage_key = await uploadFile(registry, registry.owner, model_path, files[path] as Buffer, {
      is_folder: true,
      file_name: path.split('/').at(-1) ?? '',
    })
    file_list.push({ path, storage_key })
  }
  const file_name = 'manifest.json'
  const storage_key = await uploadFile(registry, registry.owner, model_path, manifest, { is_folder: true, file_name })
  const { id } = await registry.call<{ id: string }>(registry.owner, 'POST', '/models', {
    display_name: model_path.split('/').at(-1) ?? '',
    model_type: model_path.split('/')[0],
    model_path,
    storage_key,
    file_size: manifest.length,
    file_hash: hashFile(manifest),
    file_list,
    ...(replaces && { replaces }),
  })
  return id
}
