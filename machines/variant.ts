/**
 * How a model is loaded, as one short word: the options that make Ollama load it anew when they differ from those it was
 * loaded with, sorted by name, as in `num_batch=512,num_ctx=8192`. Empty where all of that is left to the node, which
 * is a way of its own: a copy loaded with an explicit num_ctx is loaded anew for a request without one.
 */
const OPTIONS: ReadonlySet<string> = new Set([
  ...['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'use_mmap', 'num_thread', 'draft_num_predict'],
])

/** As Ollama's Options has them: whole numbers, and use_mmap a boolean. Anything else is for the node to refuse. */
export function variantOf(options: Readonly<Record<string, unknown>> = {}): string {
  return Object.entries(options)
    .filter(([name, value]) => OPTIONS.has(name) && counts(name, value))
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join(',')
}

/** The options a variant stands for. */
export function optionsOf(variant: string): Readonly<Record<string, number | boolean>> {
  const options: Record<string, number | boolean> = {}
  for (const part of variant.split(',').filter(Boolean)) {
    const [name = '', value = ''] = part.split('=')
    options[name] = value === 'true' ? true : value === 'false' ? false : Number(value)
  }
  return options
}

function counts(name: string, value: unknown): boolean {
  if (name === 'use_mmap') return typeof value === 'boolean'
  if (!Number.isSafeInteger(value)) return false
  return name !== 'num_gpu' || (value as number) >= 0 // below zero: as many layers as fit, like no word at all
}
