/**
 * Which law, which views? A snapshot holds what one version of the folds made of the facts; another version may make
 * something else of the same facts. So the very text of everything that folds is hashed, as it runs (TypeScript here,
 * JavaScript where it is installed), and V8's version with it, in whose format a snapshot is written.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const FOLDS = ['machines', 'src/projections', 'src/engine'] as const

/** SHA-256, hexadecimal. */
export async function fingerprint(): Promise<string> {
  const hash = createHash('sha256').update(process.versions.v8)
  for (const folder of FOLDS) {
    const files = (await readdir(join(ROOT, folder))).filter(
      file => CODE.has(extname(file)) && !/\.d\.ts$/.test(file),
    )
    for (const file of files.sort()) {
      hash.update(`\n${folder}/${file}\n`).update(await readFile(join(ROOT, folder, file)))
    }
  }
  return hash.digest('hex')
}

const CODE: ReadonlySet<string> = new Set(['.ts', '.js'])
