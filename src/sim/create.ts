/** New models out of old ones or out of uploaded files. */
import { checkDigest, stored } from './blobs.ts'
import { answering, Fault, native } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import type { Read } from './gostruct.ts'
import { pull } from './library.ts'
import { displayName, isValid, parseName, parseRef } from './names.ts'
import type { SimNode } from './node.ts'
import { type Progress, reportProgress, type Tell } from './progress.ts'
import { CREATE, readBody } from './requests.ts'
import { MODELS_DIR, manifestOf, type Recipe, sha256, shipped } from './store.ts'

type CreateRequest = Read<typeof CREATE.fields>

export async function createRoute(node: SimNode, x: Exchange): Promise<void> {
  const body = await x.body()
  await answering(x, native, async () => {
    const request = readBody(CREATE, body)
    for (const [path, digest] of Object.entries(request.files ?? {})) checkFile(path, digest)
    const name = parseName(request.model || request.name || '')
    if (!isValid(name)) throw new Fault(400, 'invalid model name')
    await reportProgress(x, request.stream ?? true, async tell => {
      const base = await baseOf(node, x, request, tell)
      const manifest = manifestOf(altered(base, request))
      for (const { digest } of manifest.layers) {
        const verb = node.store.blobs.has(digest) ? 'using existing' : 'creating new'
        tell({ status: `${verb} layer ${digest}` })
      }
      tell({ status: 'writing manifest' })
      node.store.put(name, manifest, node.wall())
      tell({ status: 'success' })
    })
  })
}

async function baseOf(node: SimNode, x: Exchange, request: CreateRequest, tell: Tell): Promise<Recipe> {
  if (request.from) {
    const ref = parseRef(request.from)
    if (typeof ref === 'string') throw new Fault(400, 'invalid model name')
    const model = node.store.find(ref.name) ?? (await pull(node, x, ref.name, tell))
    return { ...model, blobBytes: model.layers[0]!.size, parent: displayName(ref.name) }
  }
  if (request.files === undefined) throw new Fault(400, "neither 'from' or 'files' was specified")
  return fromFiles(node, request, tell)
}

function fromFiles(node: SimNode, request: CreateRequest, tell: (progress: Progress) => void): Recipe {
  const files = Object.entries(request.files!)
  const sniffed = files.map(([path, digest]) => ({
    path,
    blob: node.store.blobs.get(stored(digest)),
    digest,
  }))
  if (!sniffed.some(file => /\.(gguf|safetensors)$/.test(file.path) || file.blob?.gguf))
    throw new Fault(400, 'unknown type')
  for (const { blob, digest } of sniffed) {
    const path = `${MODELS_DIR}/blobs/${digest.replace(':', '-')}`
    if (blob === undefined) throw new Fault(500, `open ${path}: no such file or directory`)
    tell({ status: 'parsing GGUF' })
    if (!blob.gguf) throw new Fault(400, 'supplied file was not in GGUF format')
  }
  tell({ status: 'validating GGUF model' })
  tell({ status: 'verifying conversion' })
  tell({ status: 'using autodetected template chatml' })
  const bytes = sniffed.reduce((sum, file) => sum + file.blob!.size, 0)
  const plain = shipped(node.options.seed, { name: request.model || request.name || '', sizeBytes: bytes })
  // Ollama rewrites the file with llama-quantize, so what it stores is not what was uploaded.
  const digest = sha256(`copy of ${sniffed.map(file => file.digest).join(' ')}`)
  return { ...plain, blob: `sha256:${digest}`, blobBytes: bytes }
}

function altered(base: Recipe, request: CreateRequest): Recipe {
  const { license } = request
  return {
    ...base,
    quantization: (request.quantize || request.quantization || base.quantization).toUpperCase(),
    template: request.template || base.template,
    system: request.system || base.system,
    license: license ? (Array.isArray(license) ? license : [String(license)]) : base.license,
    parameters: { ...base.parameters, ...request.parameters },
    messages: request.messages?.map(({ role = '', content = '' }) => ({ role, content })) ?? base.messages,
  }
}

function checkFile(path: string, digest: string): void {
  const steps = path.split('/')
  if (steps.some(step => step === '' || step === '.' || step === '..'))
    throw new Fault(400, 'file path must be relative')
  checkDigest(digest)
}
