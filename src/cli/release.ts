/** Which Quipu this is, and how it is called: from a checkout and from an installed package alike. */
import { readFileSync } from 'node:fs'

export function release(): string {
  // src/cli/ is two levels below the package, dist/src/cli/ three; the first that is ours counts.
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8'))
      if (name === 'quipu') return version
    } catch {}
  }
  return 'unknown'
}

/** How to call it, in lines to copy. */
export function program(): string {
  return import.meta.url.endsWith('.ts') ? 'npm run -s quipu --' : 'quipu'
}
