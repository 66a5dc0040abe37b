/**
 * X-Quipu-Labels: which nodes a request may go to, as `gpu=4090,room=attic`. All of them must be a node's own.
 *
 * Strict, because a label that is misread sends a request where its client did not want it. Read by wishes.ts.
 */
export type Labels = Readonly<Record<string, string>>

const LABELS_MAX = 8
/** As nodes may have them; values in ASCII, because headers have no other encoding that all agree on. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$/
const VALUE = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/

/** Throws an Error that says what is wrong with it. */
export function labelsOf(header: string): Labels {
  const labels = new Map<string, string>()
  for (const part of header.split(',')) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(part.trim()) ?? []
    if (!NAME.test(name) || !VALUE.test(value)) {
      throw new Error(`"${part.trim()}" is not NAME=VALUE`)
    }
    if (labels.has(name)) throw new Error(`${name} stands there twice, and a node has it only once`)
    labels.set(name, value)
  }
  if (labels.size > LABELS_MAX) throw new Error(`${labels.size} labels are too many; ${LABELS_MAX} at most`)
  return Object.fromEntries(labels)
}
