/**
 * What a simulated node has on its disk: manifests by name and blobs by digest. Of large blobs only digest and
 * size exist. `shipped` invents the model that goes with a name, the same on every node with the same seed;
 * the pretend registry serves the same ones, so a pulled model equals a shipped one.
 */
import { createHash } from 'node:crypto'
import { displayName, isValid, type Name, nameKey, parseName } from './names.ts'
import type { Capability, ModelSpec } from './options.ts'
import { hash } from './words.ts'

export const MODELS_DIR = '/var/lib/ollama/models'

export interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/** What a manifest and its layers say. */
export interface Manifest {
  /** sha256 of the manifest's bytes, hex without a prefix: the digest that tags and ps show. */
  readonly digest: string
  readonly config: Layer
  readonly layers: readonly Layer[]
  /** The weights' digest. Two names with one blob share a runner. */
  readonly blob: string
  readonly sizeBytes: number
  readonly capabilities: readonly Capability[]
  readonly family: string
  readonly parameterSize: string
  readonly quantization: string
  readonly contextLength: number
  readonly embeddingLength: number
  readonly parent: string
  readonly template: string
  readonly system: string
  readonly license: readonly string[]
  readonly parameters: Readonly<Record<string, unknown>>
  readonly messages: readonly { role: string; content: string }[]
  readonly loadMs: number | undefined
}

export interface StoredModel extends Manifest {
  readonly name: Name
  readonly modifiedAt: number
}

export interface Blob {
  readonly size: number
  /** Does it begin like a model file? All that is kept of an upload's bytes. */
  readonly gguf: boolean
}

export interface Store {
  /** In any letter case. */
  find(name: Name): StoredModel | undefined
  /** Newest first. */
  list(): StoredModel[]
  put(name: Name, manifest: Manifest, at: number): StoredModel
  remove(model: StoredModel): void
  readonly blobs: Map<string, Blob>
  /** Bytes a broken-off pull got of a blob; a later pull goes on from there. */
  readonly partials: Map<string, number>
}

export function emptyStore(): Store {
  const models = new Map<string, StoredModel>()
  const blobs = new Map<string, Blob>()
  const partials = new Map<string, number>()

  function put(name: Name, manifest: Manifest, at: number): StoredModel {
    // A model keeps the letter case it was first written with.
    const existing = models.get(nameKey(name))
    const stored = { ...manifest, name: existing?.name ?? name, modifiedAt: at }
    models.set(nameKey(name), stored)
    for (const layer of [...manifest.layers, manifest.config])
      if (!blobs.has(layer.digest))
        blobs.set(layer.digest, { size: layer.size, gguf: layer.mediaType === MEDIA.model })
    if (existing !== undefined) sweep(existing)
    return stored
  }

  function remove(model: StoredModel): void {
    models.delete(nameKey(model.name))
    sweep(model)
  }

  /** Drops the layers of a manifest that no manifest names any more. */
  function sweep(manifest: Manifest): void {
    const used = new Set(
      [...models.values()].flatMap(m => [...m.layers, m.config].map(layer => layer.digest)),
    )
    for (const { digest } of [...manifest.layers, manifest.config])
      if (!used.has(digest)) blobs.delete(digest)
  }

  return {
    find: name => models.get(nameKey(name)),
    list: () => [...models.values()].sort((a, b) => b.modifiedAt - a.modifiedAt),
    put,
    remove,
    blobs,
    partials,
  }
}

const MEDIA = {
  config: 'application/vnd.docker.container.image.v1+json',
  model: 'application/vnd.ollama.image.model',
  template: 'application/vnd.ollama.image.template',
  system: 'application/vnd.ollama.image.system',
  params: 'application/vnd.ollama.image.params',
  messages: 'application/vnd.ollama.image.messages',
  license: 'application/vnd.ollama.image.license',
} as const

const CHATML = `{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
`

const FAMILIES = ['llama', 'qwen2', 'gemma3', 'phi3'] as const
const QUANTIZATIONS: readonly [name: string, bits: number][] = [
  ['Q4_0', 4.5],
  ['Q4_K_M', 4.85],
  ['Q5_K_M', 5.7],
  ['Q8_0', 8.5],
]
const BILLIONS = [0.5, 1.1, 1.5, 3.2, 3.8, 7.2, 8.0, 14.8] as const
const MILLIONS = [22, 33, 109, 137] as const
const CONTEXTS = [8192, 32_768, 131_072] as const

export function shipped(seed: number, spec: ModelSpec): Manifest {
  const name = parseName(spec.name)
  if (!isValid(name)) throw new Error(`not a model name: ${JSON.stringify(spec.name)}`)
  // Without the host: a model pulled from a mirror is the model.
  const path = `${name.namespace}/${name.model}:${name.tag}`.toLowerCase()
  const root = hash(`${seed} ${path}`)
  const capabilities = spec.capabilities ?? capabilitiesOf(path)
  const embedding = capabilities.includes('embedding')
  const [quantization, bits] = embedding ? (['F16', 16] as const) : pick(QUANTIZATIONS, root)
  const said = /(?:^|[^0-9a-z.])(\d+(?:\.\d+)?)b(?![a-z0-9])/.exec(path)?.[1]
  const billions =
    said !== undefined ? Number(said) : embedding ? pick(MILLIONS, root) / 1000 : pick(BILLIONS, root)
  const sizeBytes = spec.sizeBytes ?? Math.floor(((billions * 1e9 * bits) / 8) * (1 + (root % 1000) / 50_000))
  return manifestOf({
    blob: `sha256:${sha256(`weights of ${path} by ${seed}`)}`,
    blobBytes: sizeBytes,
    capabilities,
    family: embedding ? 'bert' : pick(FAMILIES, root),
    parameterSize: billions < 1 ? `${Math.round(billions * 1000)}M` : `${billions}B`,
    quantization,
    contextLength: spec.contextLength ?? (embedding ? 256 : pick(CONTEXTS, root)),
    embeddingLength: spec.embeddingLength ?? (embedding ? 64 : 2048),
    parent: '',
    template: embedding ? '' : CHATML,
    system: '',
    license: [],
    parameters: embedding ? {} : { stop: ['<|im_start|>', '<|im_end|>'] },
    messages: [],
    loadMs: spec.loadMs,
  })
}

/** The parts of a model that its manifest is made from. */
export type Recipe = Omit<Manifest, 'digest' | 'config' | 'layers' | 'sizeBytes'> & {
  readonly blobBytes: number
}

export function manifestOf(recipe: Recipe): Manifest {
  const { blobBytes, ...rest } = recipe
  const layers: Layer[] = [{ mediaType: MEDIA.model, digest: recipe.blob, size: blobBytes }]
  if (recipe.template !== '') layers.push(layerOf(MEDIA.template, recipe.template))
  if (recipe.system !== '') layers.push(layerOf(MEDIA.system, recipe.system))
  for (const license of recipe.license) layers.push(layerOf(MEDIA.license, license))
  if (Object.keys(recipe.parameters).length > 0)
    layers.push(layerOf(MEDIA.params, JSON.stringify(recipe.parameters)))
  if (recipe.messages.length > 0) layers.push(layerOf(MEDIA.messages, JSON.stringify(recipe.messages)))
  const config = layerOf(
    MEDIA.config,
    JSON.stringify({
      model_format: 'gguf',
      model_family: recipe.family,
      model_families: [recipe.family],
      model_type: recipe.parameterSize,
      file_type: recipe.quantization,
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: layers.map(layer => layer.digest) },
    }),
  )
  const bytes = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config,
    layers,
  })
  const sizeBytes = layers.reduce((sum, layer) => sum + layer.size, config.size)
  // Ollama writes a manifest with a newline at its end, and hashes that.
  return { ...rest, digest: sha256(`${bytes}\n`), config, layers, sizeBytes }
}

export function capabilitiesOf(name: string): Capability[] {
  if (name.includes('embed')) return ['embedding']
  const capabilities: Capability[] = ['completion']
  if (name.includes('tools')) capabilities.push('tools')
  if (name.includes('insert')) capabilities.push('insert')
  if (name.includes('vision')) capabilities.push('vision')
  if (name.includes('audio')) capabilities.push('audio')
  if (name.includes('think')) capabilities.push('thinking')
  return capabilities
}

/** As in tags and show; ps leaves the lengths out. */
export function detailsOf(model: StoredModel): Record<string, unknown> {
  return {
    parent_model: model.parent,
    format: 'gguf',
    family: model.family,
    families: [model.family],
    parameter_size: model.parameterSize,
    quantization_level: model.quantization,
  }
}

export function shortName(model: StoredModel): string {
  return displayName(model.name)
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function layerOf(mediaType: string, content: string): Layer {
  return { mediaType, digest: `sha256:${sha256(content)}`, size: Buffer.byteLength(content) }
}

function pick<T>(from: readonly T[], root: number): T {
  return from[root % from.length]!
}
