/** The models of a node: tags, ps, show, copy, delete, and pull and push against a pretend registry. */
import { sleep } from './client.ts'
import { answering, Fault, native } from './dialect.ts'
import { type Exchange, JSON_UTF8 } from './exchange.ts'
import { goJson, goMap, goQuote, rfc3339 } from './gojson.ts'
import { displayName, fullName, isValid, type Name, parseName, parsePullName } from './names.ts'
import { nameFault, referTo, type SimNode } from './node.ts'
import { reportProgress, type Tell } from './progress.ts'
import { COPY, DELETE, PULL, PUSH, readBody, SHOW } from './requests.ts'
import { detailsOf, type Layer, MODELS_DIR, type StoredModel, shipped, shortName } from './store.ts'

/** How often a transfer tells how far it is. */
const TELL_MS = 60
/** No registry has a model with one of these in its name. */
const ABSENT = /absent|missing|nope/i

export function tagsRoute(node: SimNode, x: Exchange): void {
  const models = node.store.list().map(model => ({
    name: shortName(model),
    model: shortName(model),
    modified_at: rfc3339(model.modifiedAt),
    size: model.sizeBytes,
    digest: model.digest,
    details: {
      ...detailsOf(model),
      context_length: model.contextLength,
      embedding_length: model.embeddingLength,
    },
    capabilities: model.capabilities,
  }))
  x.reply(200, JSON_UTF8, goJson({ models }))
}

export function psRoute(node: SimNode, x: Exchange): void {
  const models = node.residency.list().map(({ model, expiresAt, contextLength, sizeBytes }) => ({
    name: shortName(model),
    model: shortName(model),
    size: sizeBytes,
    digest: model.digest,
    details: detailsOf(model),
    expires_at: rfc3339(expiresAt),
    size_vram: sizeBytes,
    context_length: contextLength,
  }))
  x.reply(200, JSON_UTF8, goJson({ models }))
}

export async function showRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(SHOW, body)
    const shown = show(node, x, request.model || request.name || '', request.system)
    x.reply(200, JSON_UTF8, goJson(shown))
  })
}

export function show(node: SimNode, x: Exchange, raw: string, system?: string): Record<string, unknown> {
  const name = referTo(node, raw, new Fault(400, 'model is required'), 'remote model details are unavailable')
  const model = node.store.find(name)
  // The one text with the name as Ollama writes it, not as it was sent.
  if (model === undefined) throw new Fault(404, `model '${displayName(name)}' not found`)
  const info = modelInfo(model)
  if (x.request.headers['user-agent']?.startsWith('GitHubCopilotChat/')) info['general.basename'] = raw
  const said = { ...model, system: system || model.system }
  return {
    license: model.license.join('\n') || undefined,
    modelfile: modelfile(said),
    parameters: parameterLines(model).join('\n') || undefined,
    template: model.template || undefined,
    system: said.system || undefined,
    details: detailsOf(model),
    messages: model.messages.length > 0 ? model.messages : undefined,
    model_info: goMap(info),
    tensors: [
      { name: 'token_embd.weight', type: 'Q8_0', shape: [model.embeddingLength, 32_000] },
      { name: 'output_norm.weight', type: 'F32', shape: [model.embeddingLength] },
    ],
    capabilities: model.capabilities,
    modified_at: rfc3339(model.modifiedAt),
  }
}

export async function copyRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(COPY, body)
    const ends = { source: request.source ?? '', destination: request.destination ?? '' }
    for (const [end, raw] of Object.entries(ends))
      if (!isValid(parseName(raw))) throw new Fault(400, `${end} ${goQuote(raw)} is invalid`)
    const model = node.store.find(parseName(ends.source))
    if (model === undefined) throw new Fault(404, `model ${goQuote(ends.source)} not found`)
    const { name: _, modifiedAt: __, ...manifest } = model
    node.store.put(parseName(ends.destination), manifest, node.wall())
    x.reply(200)
  })
}

export async function deleteRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(DELETE, body)
    const raw = request.model || request.name || ''
    const name = parsePullName(raw)
    if (name === 'invalid') throw new Fault(400, `name ${goQuote(raw)} is invalid`)
    if (typeof name === 'string') throw nameFault(name, raw, new Fault(400, 'model is required'))
    const model = node.store.find(name)
    if (model === undefined) throw new Fault(404, `model '${raw}' not found`)
    node.store.remove(model)
    x.reply(200)
  })
}

export async function pullRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(PULL, body)
    const raw = request.model || request.name || ''
    const name = parsePullName(raw)
    if (typeof name === 'string') throw nameFault(name, raw, new Fault(400, 'invalid model name'))
    await reportProgress(x, request.stream ?? true, async tell => {
      await pull(node, x, name, tell)
      tell({ status: 'success' })
    })
  })
}

/** Brings a model from the pretend registry; used by create too, when its base is not here. */
export async function pull(node: SimNode, x: Exchange, name: Name, tell: Tell): Promise<StoredModel> {
  tell({ status: 'pulling manifest' })
  if (ABSENT.test(displayName(name))) throw new Fault(500, 'pull model manifest: file does not exist')
  const manifest = shipped(node.options.seed, { name: fullName(name) })
  const replaced = node.store.find(name)
  for (const layer of [...manifest.layers, manifest.config]) await download(node, x, layer, tell)
  tell({ status: 'verifying sha256 digest' })
  tell({ status: 'writing manifest' })
  const model = node.store.put(name, manifest, node.wall())
  if (replaced !== undefined && replaced.digest !== manifest.digest)
    tell({ status: 'removing unused layers' })
  return model
}

async function download(node: SimNode, x: Exchange, layer: Layer, tell: Tell): Promise<void> {
  const { store } = node
  const status = `pulling ${layer.digest.slice(7, 19)}`
  const known = { status, digest: layer.digest, total: layer.size }
  if (store.blobs.has(layer.digest)) return tell({ ...known, completed: layer.size })
  await transfer(node, x, layer.size, store.partials.get(layer.digest) ?? 0, completed => {
    store.partials.set(layer.digest, completed)
    tell({ ...known, completed: completed || undefined })
  })
  store.partials.delete(layer.digest)
  store.blobs.set(layer.digest, { size: layer.size, gguf: false })
}

export async function pushRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(PUSH, body)
    const raw = request.model || request.name
    if (!raw) throw new Fault(400, 'model is required')
    await reportProgress(x, request.stream ?? true, async tell => {
      tell({ status: 'retrieving manifest' })
      const name = parseName(raw)
      const model = isValid(name) ? node.store.find(name) : undefined
      if (model === undefined) {
        tell({ status: "couldn't retrieve manifest" })
        const { host, namespace, model: file, tag } = name
        const path = `${MODELS_DIR}/manifests/${host}/${namespace}/${file}/${tag}`
        const text = isValid(name)
          ? `open ${path}: no such file or directory`
          : `unqualified name: ${fullName(name)}`
        throw new Fault(500, text)
      }
      for (const { digest, size } of [...model.layers, model.config]) {
        const known = { status: `pushing ${digest.slice(7, 19)}`, digest, total: size }
        await transfer(node, x, size, 0, completed => tell({ ...known, completed: completed || undefined }))
        tell({ ...known, completed: size })
      }
      tell({ status: 'pushing manifest' })
      tell({ status: 'success' })
    })
  })
}

/**
 * Tells how far it is every 60 ms of real time; what is faster than that goes by in silence. A node that becomes slow, or
 * well again, does so in the middle of it, too.
 */
async function transfer(
  node: SimNode,
  x: Exchange,
  total: number,
  from: number,
  tell: (done: number) => void,
) {
  const bytesPerMs = (): number => node.options.pullBytesPerSec / node.scale(1000)
  let done = from
  let at = node.clock.monotonic()
  while (total - done > TELL_MS * bytesPerMs()) {
    await sleep(node.clock, TELL_MS, x)
    const now = node.clock.monotonic()
    done = Math.min(total, done + (now - at) * bytesPerMs())
    at = now
    tell(Math.floor(done))
  }
  await sleep(node.clock, (total - done) / bytesPerMs(), x)
}

function modelInfo(model: StoredModel): Record<string, unknown> {
  const { family } = model
  const embedding = model.capabilities.includes('embedding')
  return {
    'general.architecture': family,
    'general.file_type': embedding ? 1 : 15,
    'general.parameter_count': Math.round(model.sizeBytes * 1.7),
    'general.quantization_version': 2,
    [`${family}.attention.head_count`]: 32,
    [`${family}.block_count`]: embedding ? 12 : 32,
    [`${family}.context_length`]: model.contextLength,
    [`${family}.embedding_length`]: model.embeddingLength,
    [`${family}.feed_forward_length`]: model.embeddingLength * 4,
    ...(embedding ? { [`${family}.pooling_type`]: 1 } : {}),
    'tokenizer.ggml.model': embedding ? 'bert' : 'gpt2',
    // Long lists are left out unless asked for, and a simulated model has none to give.
    'tokenizer.ggml.token_type': [],
    'tokenizer.ggml.tokens': [],
  }
}

function modelfile(model: StoredModel): string {
  const lines = [
    '# Modelfile generated by "ollama show"',
    '# To build a new Modelfile based on this, replace FROM with:',
    `# FROM ${shortName(model)}`,
    '',
    `FROM ${MODELS_DIR}/blobs/${model.blob.replace(':', '-')}`,
  ]
  if (model.template !== '') lines.push(`TEMPLATE ${quoted(model.template)}`)
  if (model.system !== '') lines.push(`SYSTEM ${quoted(model.system)}`)
  for (const line of parameterLines(model)) lines.push(`PARAMETER ${line.replace(/\s+/, ' ')}`)
  for (const license of model.license) lines.push(`LICENSE ${quoted(license)}`)
  return `${lines.join('\n')}\n`
}

function quoted(text: string): string {
  return text.includes('\n') ? `"""${text}"""` : text
}

function parameterLines(model: StoredModel): string[] {
  return Object.entries(model.parameters)
    .flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map(item => [key, item] as const))
    .map(([key, value]) => `${key.padEnd(30)} ${JSON.stringify(value)}`)
}
