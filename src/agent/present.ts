/** The models that Ollama says it has, with their blobs as the models folder says, where it speaks of the same models. */
import type { TagRow } from '../ollama/ollama.ts'
import type { ModelPresent } from '../rpc/messages.ts'

/** A status is one message of up to 4 MiB, and the other parts are small. */
const BYTES_MAX = 3 * 1024 * 1024
/** What a model and a blob take there, with their numbers and lengths. */
const MODEL_BYTES = 96
const BLOB_BYTES = 96
const NAME_LENGTH_MAX = 600

/** Ordered by name. Blobs that would be too many are left out, and then models. */
export function presentOf(
  rows: readonly TagRow[],
  disk: readonly ModelPresent[] | undefined,
): readonly ModelPresent[] {
  const known = new Map(disk?.map(model => [model.name, model]))
  const models = rows
    .filter(({ name }) => name.length <= NAME_LENGTH_MAX)
    .map(({ name, digest = '', size = 0 }): ModelPresent => {
      const seen = known.get(name)
      return { name, digest, sizeBytes: size, blobs: seen?.digest === digest ? seen.blobs : [] }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return fitting(models)
}

/** Somebody else's models on the same machine may be some of the same. */
const AGREEMENT_MIN = 0.5

/** Of what lies in several folders, what Ollama has; undefined where it has its models elsewhere. */
export function sameAs(
  rows: readonly TagRow[],
  disks: readonly (readonly ModelPresent[])[],
): readonly ModelPresent[] | undefined {
  const agreements = disks.map(disk => agreement(rows, disk))
  const best = Math.max(...agreements)
  return best >= rows.length * AGREEMENT_MIN ? disks[agreements.indexOf(best)] : undefined
}

/** How many of these models are there just so. */
function agreement(rows: readonly TagRow[], disk: readonly ModelPresent[]): number {
  const known = new Map(disk.map(({ name, digest }) => [name, digest]))
  return rows.filter(({ name, digest }) => digest !== undefined && known.get(name) === digest).length
}

function fitting(models: readonly ModelPresent[]): readonly ModelPresent[] {
  let bytes = 0
  const fit: ModelPresent[] = []
  for (const model of models) {
    bytes += MODEL_BYTES + Buffer.byteLength(model.name)
    if (bytes > BYTES_MAX) return fit
    fit.push(model)
  }
  return fit.map(model => {
    const more = model.blobs.reduce((sum, { mediaType }) => sum + BLOB_BYTES + mediaType.length, 0)
    if (bytes + more > BYTES_MAX) return { ...model, blobs: [] }
    bytes += more
    return model
  })
}
