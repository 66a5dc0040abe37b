/** Verbs of several deeds, as `quipu nodes drain gpu-a`: the first word says which, the others are its own. */
import { nearest } from './nearest.ts'
import { misused } from './verb.ts'

export interface Worded {
  /** What stands behind it, as its usage says: in brackets it may be left out, with … there may be more. */
  readonly words: readonly string[]
}

export interface Chosen<Deed> {
  readonly name: string
  readonly deed: Deed
  readonly words: readonly string[]
}

/** `things`: what they are deeds to. Throws a Failure `cli.usage`, which says what was meant, or is missing. */
export function deedIn<Deed extends Worded>(
  deeds: Readonly<Record<string, Deed>>,
  [name = '', ...words]: readonly string[],
  { verb, things = verb }: { readonly verb: string; readonly things?: string },
): Chosen<Deed> {
  const deed = Object.hasOwn(deeds, name) ? deeds[name]! : undefined
  if (deed === undefined) {
    const meant = nearest(name, Object.keys(deeds))
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`
    throw misused(`"${name}" is not something to do with ${things}${hint}`)
  }
  const least = deed.words.filter(word => !word.startsWith('[')).length
  const most = deed.words.some(word => word.endsWith('…')) ? Number.POSITIVE_INFINITY : deed.words.length
  if (words.length < least) throw misused(`${verb} ${name} needs ${deed.words.join(' ').replaceAll('…', '')}`)
  if (words.length > most) throw misused(`"${words.at(-1)}" is one word too many`)
  return { name, deed, words }
}
